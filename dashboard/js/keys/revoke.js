// revoke - end a key for good, confirmed by its name
import { call } from "../api.js";
import { el, icon } from "../dom.js";
import { openDialog } from "../dialog.js";
import { field, fieldError, sendForm, textInput } from "../field.js";
import { notify } from "../notice.js";
import { whenAgo } from "../time.js";

// Blanks at the ends or in a row cannot be seen, and so are not asked for.
const plain = (text) => text.trim().replace(/\s+/g, " ").normalize("NFC");

export function openRevoke(key, changed) {
    const input = textInput({});
    const form = sendForm({
        danger: true,
        fields: [
            el(
                "div",
                { class: "warning" },
                icon("warn"),
                el(
                    "div",
                    {},
                    el("strong", {}, "All requests with this key will fail immediately."),
                    el(
                        "p",
                        { class: "mb-0" },
                        "This cannot be undone. The key was last used: ",
                        whenAgo(key.last_used),
                        ".",
                    ),
                ),
            ),
            el("p", {}, "To confirm, type the name of the key: ", el("strong", { class: "wrap" }, key.name)),
            field({ name: "confirm", label: "Name of the key", input }),
        ],
        submit: "Revoke key",
        send: async () => {
            if (plain(input.value) !== plain(key.name)) {
                throw fieldError("confirm", "This is not the name of the key. Type it as it stands above.");
            }
            await call("DELETE", `api-keys/${key.id}`);
            opened.close();
            notify(`The key ${key.name} is revoked.`);
            changed();
        },
        onCancel: () => opened.close(),
    });
    const opened = openDialog({ title: "Revoke key", body: form });
    input.focus();
}
