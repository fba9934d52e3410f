// rotate - replace a key by a new one, with a time in which both are good
import { call } from "../api.js";
import { el } from "../dom.js";
import { openDialog } from "../dialog.js";
import { field, select, sendForm } from "../field.js";

const OVERLAPS = [
    ["0", "None: the old key stops now"],
    ["3600", "1 hour"],
    ["86400", "24 hours"],
    ["604800", "7 days"],
    ["2592000", "30 days"],
];

export function openRotate(key, done) {
    const overlap = select(OVERLAPS, "86400");
    const form = sendForm({
        fields: [
            el(
                "p",
                {},
                "A new key takes over the name, permissions, limits and expiry of ",
                el("strong", {}, key.name),
                ". Give your program the new key while both still work.",
            ),
            field({
                name: "grace_seconds",
                label: "Both keys work for",
                input: overlap,
                hint: "Then the old key expires by itself.",
            }),
        ],
        submit: "Rotate key",
        send: async () => {
            const { data } = await call("POST", `api-keys/${key.id}/rotate`, {
                body: { grace_seconds: Number(overlap.value) },
            });
            opened.close();
            done(data);
        },
        onCancel: () => opened.close(),
    });
    const opened = openDialog({ title: "Rotate key", body: form });
    overlap.focus();
}
