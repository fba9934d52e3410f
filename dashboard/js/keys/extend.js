// extend - a later expiry for a key
import { call } from "../api.js";
import { el } from "../dom.js";
import { openDialog } from "../dialog.js";
import { sendForm } from "../field.js";
import { notify } from "../notice.js";
import { whenFull } from "../time.js";
import { expiryField } from "./expiry.js";

export function openExtend(key, changed) {
    const expiry = expiryField(key.expires_at, { from: key.expires_at });
    const form = sendForm({
        fields: [
            el("p", {}, "The key ", el("strong", {}, key.name), " expires: ", whenFull(key.expires_at)),
            expiry.node,
        ],
        submit: "Extend key",
        send: async () => {
            await call("PATCH", `api-keys/${key.id}`, { body: { expires_at: expiry.read() } });
            opened.close();
            notify(`The key ${key.name} has a new expiration.`);
            changed();
        },
        onCancel: () => opened.close(),
    });
    const opened = openDialog({ title: "Extend expiration", body: form });
    expiry.focus();
}
