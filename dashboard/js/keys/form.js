// form - the dialogs that make and change a key
import { ApiError, call, ownAccount } from "../api.js";
import { el } from "../dom.js";
import { openDialog } from "../dialog.js";
import { dropDraft, readDraft, saveDraft } from "../draft.js";
import { sendForm } from "../field.js";
import { notify } from "../notice.js";
import { isAdmin, session } from "../session.js";
import { KeyFields } from "./fields.js";

// A repeat of a request whose answer was lost must not make a second key.
function idempotencyKey() {
    return [...crypto.getRandomValues(new Uint8Array(16))]
        .map((byte) => byte.toString(16).padStart(2, "0"))
        .join("");
}

function restore(fields, draft) {
    const values = readDraft(draft);
    if (!values) return null;
    try {
        fields.set(values);
    } catch {
        dropDraft(draft); // of another version of this form
        return null;
    }
    return el("p", { class: "hint", role: "status" }, "What you had typed and not sent is here again.");
}

function openForm({ title, submit, fields, draft, send }) {
    const restored = restore(fields, draft);
    const form = sendForm({
        fields: [restored, fields.nodes()],
        submit,
        send: () =>
            send(() => {
                dropDraft(draft);
                opened.close();
            }),
        onCancel: () => opened.request(),
    });
    const keep = () => (fields.isChanged() ? saveDraft(draft, fields.values()) : dropDraft(draft));
    form.addEventListener("input", keep);
    form.addEventListener("change", keep);
    const opened = openDialog({
        title,
        body: form,
        wide: true,
        mayClose: () =>
            form.isConnected && fields.isChanged() && readDraft(draft)
                ? "You have typed something that is not sent. Discard it?"
                : null,
        onClosed: () => dropDraft(draft),
    });
    fields.name.focus();
    return opened;
}

async function tellPlan(limits) {
    try {
        const account = await ownAccount();
        if (account?.limits) {
            limits.tell(
                `Default: ${account.limits.per_hour.toLocaleString()} requests an hour and `
                    + `${account.limits.per_minute.toLocaleString()} a minute, by your plan.`,
            );
        }
    } catch {
        // The sentence that stands there is true without the figures.
    }
}

export function openKeyForm({ done }) {
    const fields = new KeyFields(null);
    let once = idempotencyKey();
    openForm({
        title: "Generate New Key",
        submit: "Create Key",
        fields,
        draft: "key:new",
        send: async (sent) => {
            const body = { ...fields.body(), environment: fields.environment() };
            if (!body.auto_renew) delete body.auto_renew;
            if (fields.account?.read()) body.account_id = fields.account.read();
            try {
                const { data } = await call("POST", "api-keys", { body, headers: { "Idempotency-Key": once } });
                sent();
                done(data);
            } catch (error) {
                if (error.status === 409 && error.problem?.id) {
                    once = idempotencyKey();
                    throw new ApiError(
                        "The key was made before, but its answer did not reach you, so nobody has seen it: "
                            + `revoke ${error.problem.id} in the list, then press Create Key again.`,
                        { status: 409 },
                    );
                }
                // After an answer that refuses, no key was made; after none, the same attempt may be repeated.
                throw error;
            }
        },
    });
    if (!session.byServer || !isAdmin()) tellPlan(fields.limits);
}

function changesOf(body, key) {
    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
    const sorted = (list) => [...(list ?? [])].sort();
    return Object.fromEntries(
        Object.entries(body).filter(([name, value]) =>
            name === "permissions"
                ? !same(sorted(value), sorted(key.permissions))
                : !same(value, key[name] ?? null),
        ),
    );
}

export async function openEditForm(id, changed) {
    const loaded = await call("GET", `api-keys/${id}`).catch((error) => notify(error.message, "failed"));
    if (!loaded) return;
    const { data: key } = loaded;
    let { etag } = loaded;
    const fields = new KeyFields(key);
    openForm({
        title: "Edit key",
        submit: "Save changes",
        fields,
        draft: `key:${id}`,
        send: async (sent) => {
            const body = changesOf(fields.body(), key);
            if (Object.keys(body).length > 0) {
                try {
                    await call("PATCH", `api-keys/${id}`, { body, headers: { "If-Match": etag } });
                } catch (error) {
                    if (error.status !== 412) throw error;
                    ({ etag } = await call("GET", `api-keys/${id}`));
                    throw new ApiError(
                        "Someone else changed this key meanwhile. What you typed is kept: press Save changes "
                            + "again to change only the fields that you touched.",
                        { status: 412 },
                    );
                }
                notify(`The key ${fields.name.value.trim()} is changed.`);
            }
            sent();
            changed();
        },
    });
}
