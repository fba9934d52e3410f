// field - labelled inputs that say what is wrong with them, and forms that are sent
import { el, fill, freshId } from "./dom.js";
import { ApiError } from "./api.js";
import { isAbort, words } from "./notice.js";

// name is the member of the JSON body, by which the server names a wrong field.
export function field({ name, label, input, hint, optional = false }) {
    const id = freshId("field");
    const describedBy = [hint && `${id}-hint`, `${id}-error`].filter(Boolean).join(" ");
    input.id = id;
    input.setAttribute("aria-describedby", describedBy);
    return el(
        "div",
        { class: "field", data: { field: name } },
        el(
            "label",
            { for: id, class: "form-label" },
            label,
            optional && el("span", { class: "quiet" }, " (optional)"),
        ),
        input,
        hint && el("div", { id: `${id}-hint`, class: "hint" }, hint),
        el("div", { id: `${id}-error`, class: "field-error" }),
    );
}

// Several inputs under one name: a fieldset.
export function group({ name, label, hint }, ...children) {
    const id = freshId("group");
    return el(
        "fieldset",
        { class: "field", data: { field: name }, "aria-describedby": `${id}-error` },
        el("legend", { class: "form-label" }, label),
        hint && el("div", { class: "hint" }, hint),
        children,
        el("div", { id: `${id}-error`, class: "field-error" }),
    );
}

export function textInput(attributes) {
    return el("input", {
        type: "text",
        class: "form-control",
        autocomplete: "off",
        spellcheck: "false",
        ...attributes,
    });
}

export function numberInput(attributes) {
    return textInput({ inputmode: "numeric", pattern: "[0-9]*", ...attributes });
}

export function select(options, value, attributes = {}) {
    return el(
        "select",
        { class: "form-select", ...attributes },
        options.map(([key, label]) => el("option", { value: key, selected: key === value }, label)),
    );
}

export function radio(name, value, label, checked, listener) {
    const id = freshId("radio");
    return el(
        "div",
        { class: "form-check form-check-inline" },
        el("input", {
            type: "radio",
            class: "form-check-input",
            id,
            name,
            value,
            checked,
            on: listener ? { change: listener } : {},
        }),
        el("label", { class: "form-check-label", for: id }, label),
    );
}

export function check(value, label, checked, attributes = {}) {
    const id = freshId("check");
    return el(
        "div",
        { class: "form-check" },
        el("input", { type: "checkbox", class: "form-check-input", id, value, checked, ...attributes }),
        el("label", { class: "form-check-label", for: id }, label),
    );
}

// A text as a whole number, null where it is empty, NaN where it is none.
export function toNumber(text) {
    const digits = text.trim();
    if (!digits) return null;
    return /^[0-9]{1,12}$/.test(digits) ? Number(digits) : NaN;
}

export function fieldError(name, message) {
    return new ApiError("Some fields need another look.", { status: 422, errors: [{ field: name, message }] });
}

function clearErrors(form) {
    for (const box of form.querySelectorAll(".field-error")) fill(box);
    for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

// "permissions[2]" and "rate_limit.per_hour" belong to the fields of their first word.
function placeOf(form, name) {
    const exact = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
    return exact ?? form.querySelector(`[data-field="${CSS.escape(name.split(/[.[]/)[0])}"]`);
}

function showErrors(form, summary, error) {
    const rest = [];
    let first = null;
    for (const { field: name, message } of error.errors) {
        const place = placeOf(form, String(name));
        if (!place) {
            rest.push(`${name}: ${message}`);
            continue;
        }
        const input = place.querySelector("input, textarea, select");
        place.querySelector(".field-error").append(el("p", {}, message));
        place.closest("details")?.setAttribute("open", "");
        input?.setAttribute("aria-invalid", "true");
        first ??= input;
    }
    fill(
        summary,
        el("p", {}, words(error)),
        rest.map((text) => el("p", {}, text)),
    );
    summary.hidden = false;
    if (first) first.focus();
    else summary.scrollIntoView({ block: "nearest" });
}

// A form whose button calls send(); it stays as it is when that fails, and says why.
export function sendForm({ fields, submit, send, onCancel, danger = false }) {
    const summary = el("div", { class: "trouble", role: "alert", hidden: true });
    const go = el("button", { type: "submit", class: danger ? "btn btn-danger" : "btn btn-primary" }, submit);
    const form = el(
        "form",
        { novalidate: true },
        fields,
        summary,
        el(
            "div",
            { class: "actions" },
            go,
            onCancel
                && el(
                    "button",
                    { type: "button", class: "btn btn-outline-secondary", on: { click: onCancel } },
                    "Cancel",
                ),
        ),
    );

    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        if (go.getAttribute("aria-disabled") === "true") return;
        clearErrors(form);
        summary.hidden = true;
        go.setAttribute("aria-disabled", "true");
        go.textContent = "One moment…";
        try {
            await send();
        } catch (error) {
            if (!isAbort(error))
                showErrors(form, summary, error instanceof ApiError ? error : new ApiError(words(error)));
        } finally {
            go.removeAttribute("aria-disabled");
            go.textContent = submit;
        }
    });
    return form;
}

// Radio buttons of one choice: [get or set the value, their node].
export function freshRadios(options, value) {
    const name = freshId("choice");
    const node = el(
        "div",
        {},
        options.map(([key, label]) => radio(name, key, label, key === value)),
    );
    const choice = (key) => {
        if (key !== undefined) node.querySelector(`input[value="${CSS.escape(key)}"]`).checked = true;
        return node.querySelector("input:checked").value;
    };
    return [choice, node];
}
