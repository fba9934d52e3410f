// audit-view - entries of the audit log: who did what to which thing, and what changed by it
import { el } from "./dom.js";
import { link } from "./router.js";
import { table } from "./table.js";
import { when } from "./time.js";

const ACTIONS = {
    "key.create": "Created a key",
    "key.update": "Changed a key",
    "key.revoke": "Revoked a key",
    "key.rotate": "Rotated a key",
    "key.import": "Imported a key",
    "key.renew": "Renewed a key",
    "account.create": "Made an account",
    "account.update": "Changed an account",
};

export const ACTION_NAMES = Object.entries(ACTIONS);
const actionText = (action) => ACTIONS[action] ?? action.replace(".", " ").replaceAll("_", " ");

function thing(id) {
    if (id?.startsWith("key_")) return el("a", { href: link(`keys/${id}`), class: "id" }, id);
    return el("span", { class: "id" }, id ?? "");
}

// null stands for never
const valueOf = (name, value) => (name.endsWith("_at") ? when(value) : plain(value));

const plain = (value) =>
    Array.isArray(value)
        ? value.join(" ") || "none"
        : value === null
          ? "none"
          : typeof value === "object"
            ? Object.entries(value)
                  .map(([name, one]) => `${name} ${plain(one)}`)
                  .join(", ")
            : String(value);

const isChange = (value) => value !== null && typeof value === "object" && "from" in value && "to" in value;

function changeLine([name, value]) {
    return el(
        "li",
        {},
        el("span", { class: "quiet" }, `${name.replaceAll("_", " ")}: `),
        isChange(value)
            ? [el("del", {}, valueOf(name, value.from)), " → ", el("ins", {}, valueOf(name, value.to))]
            : valueOf(name, value),
    );
}

function changes(details) {
    if (details === null || typeof details !== "object") return details === null ? "" : String(details);
    return el("ul", { class: "changes wrap" }, Object.entries(details).map(changeLine));
}

export function auditTable(entries, withTarget = true) {
    const columns = [
        { label: "When" },
        { label: "What" },
        withTarget && { label: "Which" },
        { label: "By" },
        { label: "Details" },
    ];
    return table(
        "Audit log",
        columns.filter(Boolean),
        entries.map((entry) =>
            [
                when(entry.at),
                actionText(entry.action),
                withTarget && thing(entry.target),
                [thing(entry.actor), entry.address && el("div", { class: "quiet small" }, entry.address)],
                changes(entry.details),
            ].filter((cell) => cell !== false),
        ),
    );
}
