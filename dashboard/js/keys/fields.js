// fields - the fields of a key, as the users' guide names them, and what they amount to
import { accountInput } from "../accounts-input.js";
import { ApiError } from "../api.js";
import { el } from "../dom.js";
import { check, field, freshRadios, group, textInput } from "../field.js";
import { isAdmin } from "../session.js";
import { expiryField } from "./expiry.js";
import { limitsField } from "./limits.js";
import { permissionsField } from "./permissions.js";

const networksOf = (text) => text.split(/[\s,]+/).filter(Boolean);

export class KeyFields {
    constructor(key) {
        this.key = key;
        this.name = textInput({ maxlength: 100, required: true, value: key?.name ?? "" });
        this.description = el("textarea", {
            class: "form-control",
            rows: 2,
            maxlength: 1000,
            value: key?.description ?? "",
        });
        [this.environment, this.environmentNode] = freshRadios(
            [
                ["live", "Live"],
                ["test", "Test"],
            ],
            key?.environment ?? "live",
        );
        this.permissions = permissionsField(key?.permissions ?? []);
        this.limits = limitsField(key?.rate_limit ?? null);
        this.expiry = expiryField(key?.expires_at ?? null);
        this.networks = el("textarea", {
            class: "form-control",
            rows: 2,
            spellcheck: "false",
            value: (key?.allowed_ips ?? []).join("\n"),
        });
        this.renewal = check(
            "auto_renew",
            "Renew the key before it expires (enterprise plan)",
            key?.auto_renew ?? false,
        );
        this.account =
            !key && isAdmin()
                ? accountInput({ label: "Account", value: "", hint: "Empty: your own account." })
                : null;
        if (!key) this.permissions.tick(["read", "write"]);
        if (!key) this.permissions.set(this.permissions.ticked());
        this.before = JSON.stringify(this.values());
    }

    nodes() {
        return [
            field({
                name: "name",
                label: "Name",
                input: this.name,
                hint: "One key per application: name the application.",
            }),
            field({
                name: "description",
                label: "Description",
                optional: true,
                input: this.description,
                hint: "What the key is for.",
            }),
            !this.key
                && group(
                    {
                        name: "environment",
                        label: "Environment",
                        hint: "Test keys reach only the sandbox and count against no quota.",
                    },
                    this.environmentNode,
                ),
            this.permissions.node,
            this.limits.node,
            this.expiry.node,
            el(
                "details",
                { class: "more", open: Boolean(this.key?.allowed_ips || this.key?.auto_renew) },
                el("summary", {}, "More options"),
                field({
                    name: "allowed_ips",
                    label: "Allowed networks",
                    optional: true,
                    input: this.networks,
                    hint: "Addresses or networks such as 192.0.2.0/24, one on a line. Empty: any address.",
                }),
                group({ name: "auto_renew", label: "Auto-renewal" }, this.renewal),
                this.account
                    && el(
                        "div",
                        { class: "field", data: { field: "account_id" } },
                        this.account,
                        el("div", { class: "field-error" }),
                    ),
            ),
        ];
    }

    values() {
        return {
            name: this.name.value,
            description: this.description.value,
            environment: this.environment(),
            permissions: this.permissions.ticked(),
            limits: this.limits.values(),
            expiry: this.expiry.values(),
            networks: this.networks.value,
            renewal: this.renewal.querySelector("input").checked,
        };
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
