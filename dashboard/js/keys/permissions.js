// permissions - the field Permissions: a checkbox for each, and presets that tick them
import { el, freshId } from "../dom.js";
import { check, fieldError, group, radio } from "../field.js";
import { session } from "../session.js";

// What keys, alerts and logs are managed with is given on purpose, by no preset.
const MANAGING = new Set(["api-keys", "alerts", "audit", "admin"]);

const GROUPS = [
    ["read", "Read Permissions"],
    ["write", "Write Permissions"],
    ["delete", "Delete Permissions"],
];

const PRESETS = [
    ["read", "Read", ["read"]],
    ["write", "Read/Write", ["read", "write"]],
    ["custom", "Custom", null],
];

const partsOf = (name) => name.split(":");

function inPreset(name, actions) {
    const [resource, action] = partsOf(name);
    return !MANAGING.has(resource) && actions.includes(action);
}

function groupOf(name) {
    const [resource, action] = partsOf(name);
    if (MANAGING.has(resource)) return resource === "admin" ? "Admin Permissions" : "Managing this service";
    return GROUPS.find(([key]) => key === action)?.[1] ?? "Other Permissions";
}

const ORDER = [
    ...GROUPS.map(([, label]) => label),
    "Other Permissions",
    "Managing this service",
    "Admin Permissions",
];

// A key may hold what is not in the registry: a wildcard, or what was taken out of it.
function offered(had) {
    const known = new Set(session.permissions.map((one) => one.name));
    const extra = had
        .filter((name) => !known.has(name))
        .map((name) => ({
            name,
            held: true,
            description: name.endsWith(":*") ? "Every action on these" : "No longer in the registry",
        }));
    return [...session.permissions, ...extra];
}

function box(one, had) {
    const mayGrant = one.held || had.includes(one.name);
    const label = el(
        "span",
        {},
        el("code", {}, one.name),
        el("span", { class: "quiet" }, ` ${one.description}`),
        !mayGrant && el("span", { class: "quiet" }, " · you do not hold it"),
    );
    return check(one.name, label, had.includes(one.name), { disabled: !mayGrant, name: "permission" });
}

// Returns {node, read(), set(names)}.
export function permissionsField(had) {
    const all = offered(had);
    const preset = freshId("preset");
    const boxes = ORDER.map((label) => {
        const mine = all.filter((one) => groupOf(one.name) === label);
        return (
            mine.length > 0
            && el(
                "div",
                { class: "permission-group", role: "group", "aria-label": label },
                el("p", { class: "group-title", "aria-hidden": "true" }, label),
                mine.map((one) => box(one, had)),
            )
        );
    });
    const node = group(
        { name: "permissions", label: "Permissions", hint: "Grant the minimum that the program needs." },
        el(
            "div",
            { class: "presets", role: "group", "aria-label": "Presets" },
            PRESETS.map(([key, label, actions]) =>
                radio(preset, key, label, false, () => actions && tick(actions)),
            ),
        ),
        el("div", { class: "permission-groups" }, boxes),
    );
    const inputs = () => [...node.querySelectorAll("input[name=permission]")];
    const ticked = () =>
        inputs()
            .filter((input) => input.checked)
            .map((input) => input.value);

    function tick(actions) {
        for (const input of inputs()) input.checked = !input.disabled && inPreset(input.value, actions);
        node.dispatchEvent(new Event("input", { bubbles: true }));
    }

    // The preset that the boxes amount to.
    function mark() {
        const now = ticked().join(" ");
        const fits = PRESETS.find(
            ([, , actions]) =>
                actions
                && now
                    === inputs()
                        .filter((input) => !input.disabled && inPreset(input.value, actions))
                        .map((input) => input.value)
                        .join(" "),
        );
        const key = now && fits ? fits[0] : "custom";
        node.querySelector(`input[name="${preset}"][value="${key}"]`).checked = true;
    }

    node.addEventListener("change", (event) => event.target.name === "permission" && mark());
    mark();
    return {
        node,
        read() {
            if (ticked().length === 0) throw fieldError("permissions", "Choose at least one permission.");
            return ticked();
        },
        ticked,
        tick,
        set(names) {
            for (const input of inputs()) input.checked = !input.disabled && names.includes(input.value);
            mark();
        },
    };
}
