// expiry - the field Expires: never, after some days, or on a date in the reader's zone
import { el, fill } from "../dom.js";
import { fieldError, group, select, textInput } from "../field.js";
import { fromLocalInput, inDays, toLocalInput, utcText, zone } from "../time.js";

const CHOICES = [
    ["never", "Never"],
    ["30", "In 30 days"],
    ["90", "In 90 days"],
    ["365", "In one year"],
    ["date", "On a date"],
];

// Returns {node, read(), values(), set(values), focus()}; read gives RFC 3339 or null.
export function expiryField(current, { from = null } = {}) {
    const first = current ? "date" : "never";
    const choice = select(CHOICES, first, { "aria-label": "When the key expires" });
    const date = textInput({ type: "datetime-local", "aria-label": `Date and time, ${zone}` });
    const hint = el("div", { class: "hint", "aria-live": "polite" });
    date.value = toLocalInput(from ?? inDays(90));

    function told() {
        if (choice.value === "never") return "The key works until it is revoked.";
        const text =
            choice.value === "date"
                ? (unchanged() ?? fromLocalInput(date.value))
                : inDays(Number(choice.value));
        return text ? `Your zone is ${zone}. In UTC: ${utcText(text)}.` : "Choose a date and a time.";
    }

    // The input has no seconds: a time that was not touched stays what it was.
    function unchanged() {
        return current && date.value === toLocalInput(current) ? current : null;
    }

    function update() {
        date.hidden = choice.value !== "date";
        fill(hint, told());
    }

    function read() {
        if (choice.value === "never") return null;
        if (choice.value !== "date") return inDays(Number(choice.value));
        const text = unchanged() ?? fromLocalInput(date.value);
        if (!text) throw fieldError("expires_at", "Choose a date and a time.");
        if (text !== current && Date.parse(text) <= Date.now()) {
            throw fieldError("expires_at", "Choose a time that is still to come.");
        }
        return text;
    }

    choice.addEventListener("change", update);
    date.addEventListener("input", update);
    update();
    return {
        node: group({ name: "expires_at", label: "Expires" }, el("div", { class: "side" }, choice, date), hint),
        read,
        values: () => ({ choice: choice.value, date: date.value }),
        set: (values) => {
            choice.value = values.choice;
            date.value = values.date;
            update();
        },
        focus: () => choice.focus(),
    };
}
