// secret - the one time that a full key is shown
//
// It stands in the dialog's own element and nowhere else: no draft, no address, no log.  The
// dialog does not close by accident: who has not copied the key is asked first.
import { el, fill, icon } from "../dom.js";
import { openDialog } from "../dialog.js";
import { notify } from "../notice.js";

// The clipboard of a page that came by plain HTTP is out of reach: then copy the selection.
async function toClipboard(input) {
    try {
        await navigator.clipboard.writeText(input.value);
        return true;
    } catch {
        input.select();
        return document.execCommand("copy");
    }
}

export function showSecret(made, title) {
    let saved = false;
    const input = el("input", {
        type: "text",
        readonly: true,
        class: "form-control secret",
        value: made.key,
        "aria-label": "The full key",
        spellcheck: "false",
        autocomplete: "off",
        on: {
            focus: () => input.select(),
            copy: () => {
                saved = true;
            },
        },
    });
    const label = el("span", {}, "Copy");
    const state = el("p", { class: "quiet mb-0", role: "status" });
    const copy = el(
        "button",
        {
            type: "button",
            class: "btn btn-primary",
            on: {
                click: async () => {
                    if (await toClipboard(input)) {
                        saved = true;
                        fill(label, "Copied");
                        fill(state, "The key is on your clipboard. Paste it where your program reads it.");
                    } else {
                        input.select();
                        fill(
                            state,
                            "Your browser does not let the page copy. The key is selected: press Ctrl+C.",
                        );
                    }
                },
            },
        },
        icon("copy"),
        label,
    );

    const opened = openDialog({
        title,
        wide: true,
        mayClose: () =>
            saved ? null : "You have not copied the key, and it is never shown again. Close all the same?",
        onClosed: () => {
            input.value = "";
            notify(`The key ${made.name} is ready.`);
        },
        body: [
            el(
                "div",
                { class: "warning", role: "alert" },
                icon("warn"),
                el(
                    "div",
                    {},
                    el("strong", {}, "Copy immediately: shown only once!"),
                    el(
                        "p",
                        { class: "mb-0" },
                        "We keep no copy of the full key. Store it securely now; whoever has it can use it.",
                    ),
                ),
            ),
            el("p", { class: "mb-2" }, "The key ", el("strong", {}, made.name), ":"),
            el("div", { class: "copy-row" }, input, copy),
            state,
            el(
                "details",
                { class: "mt-3" },
                el("summary", {}, "How to use it"),
                el(
                    "pre",
                    { tabindex: "0" },
                    `curl -H "Authorization: Bearer YOUR_API_KEY" \\\n  ${location.origin}/v1/tasks`,
                ),
            ),
            el(
                "div",
                { class: "actions" },
                el(
                    "button",
                    {
                        type: "button",
                        class: "btn btn-outline-secondary",
                        on: { click: () => opened.request() },
                    },
                    "Done",
                ),
            ),
        ],
    });
    copy.focus();
}
