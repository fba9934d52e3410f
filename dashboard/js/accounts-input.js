// accounts-input - choose an account by name or id, for administrators
import { get } from "./api.js";
import { el, freshId } from "./dom.js";
import { isAbort } from "./notice.js";

let known = null; // the newest accounts, read once

async function suggestions() {
    known ??= get("accounts", { limit: 100 }).then((answer) => answer.data);
    try {
        return await known;
    } catch (error) {
        known = null; // an id can still be typed
        if (!isAbort(error)) console.warn(error.message);
        return [];
    }
}

export function forgetAccounts() {
    known = null;
}

const ID = /^acct_[a-z0-9]+$/;

// A name that fits one account stands for its id.
function idOf(text, accounts) {
    if (ID.test(text)) return text;
    const fits = accounts.filter((one) => one.name.toLowerCase() === text.toLowerCase());
    return fits.length === 1 ? fits[0].id : text;
}

// The returned node has read(): an id, whatever else was typed, or "".
export function accountInput({ value, label, hint, compact = false, changed = () => {} }) {
    const id = freshId("account");
    const options = el("datalist", { id: `${id}-list` });
    const input = el("input", {
        type: "text",
        class: "form-control",
        id,
        list: `${id}-list`,
        value,
        autocomplete: "off",
        placeholder: compact ? "All accounts" : "acct_…",
        spellcheck: "false",
        "aria-describedby": hint ? `${id}-hint` : null,
    });
    let accounts = [];
    const node = el(
        "div",
        { class: compact ? "account-input" : "" },
        el("label", { for: id, class: compact ? "visually-hidden" : "form-label" }, label),
        input,
        options,
        hint && el("div", { class: "hint", id: `${id}-hint` }, hint),
    );
    node.read = () => idOf(input.value.trim(), accounts);
    input.addEventListener("change", () => changed(node.read()));
    suggestions().then((list) => {
        accounts = list;
        options.append(...list.map((one) => el("option", { value: one.id, label: one.name })));
    });
    return node;
}
