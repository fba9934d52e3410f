// limits - the field Rate Limit: the plan's, or figures of the key's (or account's) own
import { el, fill } from "../dom.js";
import { field, fieldError, freshRadios, group, numberInput, toNumber } from "../field.js";

function readNumber(input, name) {
    const number = toNumber(input.value);
    if (Number.isNaN(number) || number === 0)
        throw fieldError(name, "Must be a whole number of 1 or more, or empty.");
    return number;
}

// Returns {node, read(), values(), set(values), tell(limits)}; read gives null or {per_hour, per_minute}.
export function limitsField(
    current,
    { standard = "Default", hint = "The limits of the account's plan." } = {},
) {
    const [choice, radios] = freshRadios(
        [
            ["default", standard],
            ["custom", "Custom"],
        ],
        current ? "custom" : "default",
    );
    const hour = numberInput({ placeholder: "the plan's" });
    const minute = numberInput({ placeholder: "the plan's" });
    const custom = el(
        "div",
        { class: "side" },
        field({ name: "rate_limit.per_hour", label: "Requests an hour", input: hour }),
        field({ name: "rate_limit.per_minute", label: "Requests a minute", input: minute }),
    );
    const note = el("div", { class: "hint" }, hint);

    function set(values) {
        choice(values.choice);
        hour.value = values.hour;
        minute.value = values.minute;
        update();
    }

    function update() {
        custom.hidden = choice() !== "custom";
    }

    function read() {
        if (choice() !== "custom") return null;
        const limits = {
            per_hour: readNumber(hour, "rate_limit.per_hour"),
            per_minute: readNumber(minute, "rate_limit.per_minute"),
        };
        if (limits.per_hour === null && limits.per_minute === null) {
            throw fieldError("rate_limit.per_hour", `Give at least one limit, or choose ${standard}.`);
        }
        return limits;
    }

    const node = group({ name: "rate_limit", label: "Rate Limit" }, radios, note, custom);
    node.addEventListener("change", update);
    set({
        choice: current ? "custom" : "default",
        hour: current?.per_hour ?? "",
        minute: current?.per_minute ?? "",
    });
    return {
        node,
        read,
        set,
        values: () => ({ choice: choice(), hour: hour.value, minute: minute.value }),
        tell: (text) => fill(note, text),
    };
}
