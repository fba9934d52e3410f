// form - the dialogs that make and change a key, with the fields of the users' guide
import { accountInput } from "../accounts-input.js";
import { ApiError, call, ownAccount } from "../api.js";
import { el } from "../dom.js";
import { openDialog } from "../dialog.js";
import { dropDraft, readDraft, saveDraft } from "../draft.js";
import { check, field, freshRadios, group, sendForm, textInput } from "../field.js";
import { notify } from "../notice.js";
import { isAdmin, session } from "../session.js";
import { expiryField } from "./expiry.js";
import { limitsField } from "./limits.js";
import { permissionsField } from "./permissions.js";

// A repeat of a request whose answer was lost must not make a second key.
function idempotencyKey() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const networksOf = (text) => text.split(/[\s,]+/).filter(Boolean);

class KeyFields {
    constructor(key) {
        this.key = key;
        this.name = textInput({ maxlength: 100, required: true, value: key?.name ?? "" });
        this.description = el("textarea", { class: "form-control", rows: 2, maxlength: 1000, value: key?.description ?? "" });
        [this.environment, this.environmentNode] = freshRadios([["live", "Live"], ["test", "Test"]], key?.environment ?? "live");
        this.permissions = permissionsField(key?.permissions ?? []);
        this.limits = limitsField(key?.rate_limit ?? null);
        this.expiry = expiryField(key?.expires_at ?? null);
        this.networks = el("textarea", { class: "form-control", rows: 2, spellcheck: "false",
            value: (key?.allowed_ips ?? []).join("\n") });
        this.renewal = check("auto_renew", "Renew the key before it expires (enterprise plan)", key?.auto_renew ?? false);
        this.account = !key && isAdmin() ? accountInput({ label: "Account", value: "", hint: "Empty: your own account." }) : null;
        if (!key) this.permissions.tick(["read", "write"]);
        if (!key) this.permissions.set(this.permissions.ticked());
        this.before = JSON.stringify(this.values());
    }

    nodes() {
        return [
            field({ name: "name", label: "Name", input: this.name, hint: "One key per application: name the application." }),
            field({ name: "description", label: "Description", optional: true, input: this.description,
                hint: "What the key is for." }),
            !this.key && group({ name: "environment", label: "Environment",
                hint: "Test keys reach only the sandbox and count against no quota." }, this.environmentNode),
            this.permissions.node, this.limits.node, this.expiry.node,
            el("details", { class: "more", open: Boolean(this.key?.allowed_ips || this.key?.auto_renew) },
                el("summary", {}, "More options"),
                field({ name: "allowed_ips", label: "Allowed networks", optional: true, input: this.networks,
                    hint: "Addresses or networks such as 192.0.2.0/24, one on a line. Empty: any address." }),
                group({ name: "auto_renew", label: "Auto-renewal" }, this.renewal),
                this.account && el("div", { class: "field", data: { field: "account_id" } }, this.account,
                    el("div", { class: "field-error" }))),
        ];
    }

    values() {
        return { name: this.name.value, description: this.description.value, environment: this.environment(),
            permissions: this.permissions.ticked(), limits: this.limits.values(), expiry: this.expiry.values(),
            networks: this.networks.value, renewal: this.renewal.querySelector("input").checked };
    }

    set(values) {
        this.name.value = values.name;
        this.description.value = values.description;
        this.environment(values.environment);
        this.permissions.set(values.permissions);
        this.limits.set(values.limits);
        this.expiry.set(values.expiry);
        this.networks.value = values.networks;
        this.renewal.querySelector("input").checked = values.renewal;
    }

    isChanged() {
        return JSON.stringify(this.values()) !== this.before;
    }

    // Every problem of the fields that is seen here, at once.
    body() {
        const errors = [];
        const reading = (read) => {
            try {
                return read();
            } catch (error) {
                errors.push(...error.errors);
                return undefined;
            }
        };
        if (!this.name.value.trim()) errors.push({ field: "name", message: "Give the key a name." });
        const networks = networksOf(this.networks.value);
        const body = {
            name: this.name.value.trim(),
            description: this.description.value,
            permissions: reading(() => this.permissions.read()),
            rate_limit: reading(() => this.limits.read()),
            expires_at: reading(() => this.expiry.read()),
            allowed_ips: networks.length > 0 ? networks : null,
            auto_renew: this.renewal.querySelector("input").checked,
        };
        if (errors.length > 0) throw new ApiError("Some fields need another look.", { status: 422, errors });
        return body;
    }
}

function restore(fields, draft) {
    const values = readDraft(draft);
    if (!values) return null;
    try {
        fields.set(values);
    } catch {
        dropDraft(draft);   // of another version of this form
        return null;
    }
    return el("p", { class: "hint", role: "status" }, "What you had typed and not sent is here again.");
}

function openForm({ title, submit, fields, draft, send }) {
    const restored = restore(fields, draft);
    const form = sendForm({ fields: [restored, fields.nodes()], submit,
        send: () => send(() => { dropDraft(draft); opened.close(); }), onCancel: () => opened.request() });
    const keep = () => (fields.isChanged() ? saveDraft(draft, fields.values()) : dropDraft(draft));
    form.addEventListener("input", keep);
    form.addEventListener("change", keep);
    const opened = openDialog({ title, body: form, wide: true,
        mayClose: () => (form.isConnected && fields.isChanged() && readDraft(draft)
            ? "You have typed something that is not sent. Discard it?" : null),
        onClosed: () => dropDraft(draft) });
    fields.name.focus();
    return opened;
}

async function tellPlan(limits) {
    try {
        const account = await ownAccount();
        if (account?.limits) {
            limits.tell(`Default: ${account.limits.per_hour.toLocaleString()} requests an hour and `
                + `${account.limits.per_minute.toLocaleString()} a minute, by your plan.`);
        }
    } catch {
        // The sentence that stands there is true without the figures.
    }
}

export function openKeyForm({ done }) {
    const fields = new KeyFields(null);
    let once = idempotencyKey();
    openForm({ title: "Generate New Key", submit: "Create Key", fields, draft: "key:new", send: async (sent) => {
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
                throw new ApiError("The key was made before, but its answer did not reach you, so nobody has seen it: "
                    + `revoke ${error.problem.id} in the list, then press Create Key again.`, { status: 409 });
            }
            // After an answer that refuses, no key was made; after none, the same attempt may be repeated.
            throw error;
        }
    } });
    if (!session.byServer || !isAdmin()) tellPlan(fields.limits);
}

function changesOf(body, key) {
    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
    const sorted = (list) => [...(list ?? [])].sort();
    return Object.fromEntries(Object.entries(body).filter(([name, value]) => (name === "permissions"
        ? !same(sorted(value), sorted(key.permissions)) : !same(value, key[name] ?? null))));
}

export async function openEditForm(id, changed) {
    const loaded = await call("GET", `api-keys/${id}`).catch((error) => notify(error.message, "failed"));
    if (!loaded) return;
    const { data: key } = loaded;
    let { etag } = loaded;
    const fields = new KeyFields(key);
    openForm({ title: "Edit key", submit: "Save changes", fields, draft: `key:${id}`, send: async (sent) => {
        const body = changesOf(fields.body(), key);
        if (Object.keys(body).length > 0) {
            try {
                await call("PATCH", `api-keys/${id}`, { body, headers: { "If-Match": etag } });
            } catch (error) {
                if (error.status !== 412) throw error;
                ({ etag } = await call("GET", `api-keys/${id}`));
                throw new ApiError("Someone else changed this key meanwhile. What you typed is kept: press Save changes "
                    + "again to change only the fields that you touched.", { status: 412 });
            }
            notify(`The key ${fields.name.value.trim()} is changed.`);
        }
        sent();
        changed();
    } });
}
