// accounts - accounts and plans, for administrators
import { call } from "./api.js";
import { forgetAccounts } from "./accounts-input.js";
import { button, el, fill, icon } from "./dom.js";
import { openDialog } from "./dialog.js";
import { field, fieldError, numberInput, select, sendForm, textInput, toNumber } from "./field.js";
import { pageHead } from "./frame.js";
import { limitsField } from "./keys/limits.js";
import { emptyBox, loadInto, notify } from "./notice.js";
import { Paged } from "./paged.js";
import { link } from "./router.js";
import { badge, pager, table } from "./table.js";
import { whenDay } from "./time.js";

const PLANS = [
    ["free", "Free"],
    ["professional", "Professional"],
    ["enterprise", "Enterprise"],
];
const planName = (plan) => PLANS.find(([key]) => key === plan)?.[1] ?? plan;

class AccountForm {
    constructor(account) {
        this.account = account;
        this.name = textInput({ maxlength: 100, value: account?.name ?? "" });
        this.contact = textInput({ type: "email", maxlength: 254, value: account?.contact ?? "" });
        this.plan = select(PLANS, account?.plan ?? "free");
        this.limits = limitsField(account?.rate_limit ?? null, {
            standard: "The plan's",
            hint: "Of each key of the account that has no limit of its own.",
        });
        this.quota = numberInput({ value: account?.quota_month ?? "", placeholder: "the plan's" });
        this.before = JSON.stringify(this.values());
    }

    nodes() {
        return [
            field({ name: "name", label: "Name", input: this.name }),
            field({
                name: "contact",
                label: "Contact",
                optional: true,
                input: this.contact,
                hint: "The mail address that alerts go to.",
            }),
            field({ name: "plan", label: "Plan", input: this.plan }),
            this.limits.node,
            field({
                name: "quota_month",
                label: "Monthly quota",
                optional: true,
                input: this.quota,
                hint: "Requests by live keys in a month of UTC. Empty: the plan's.",
            }),
        ];
    }

    values() {
        return [this.name.value, this.contact.value, this.plan.value, this.limits.values(), this.quota.value];
    }

    isChanged() {
        return JSON.stringify(this.values()) !== this.before;
    }

    body() {
        const quota = toNumber(this.quota.value);
        if (!this.name.value.trim()) throw fieldError("name", "Give the account a name.");
        if (Number.isNaN(quota) || quota === 0)
            throw fieldError("quota_month", "Must be a whole number of 1 or more, or empty.");
        return {
            name: this.name.value.trim(),
            contact: this.contact.value.trim() || null,
            plan: this.plan.value,
            rate_limit: this.limits.read(),
            quota_month: quota,
        };
    }
}

function openAccount(account, etag, changed) {
    const fields = new AccountForm(account);
    const form = sendForm({
        fields: fields.nodes(),
        submit: account ? "Save changes" : "Create account",
        onCancel: () => opened.request(),
        send: async () => {
            const body = fields.body();
            if (account) await call("PATCH", `accounts/${account.id}`, { body, headers: { "If-Match": etag } });
            else await call("POST", "accounts", { body });
            opened.close();
            forgetAccounts();
            notify(`The account ${body.name} is ${account ? "changed" : "made"}.`);
            changed();
        },
    });
    const opened = openDialog({
        title: account ? "Edit account" : "New account",
        body: form,
        wide: true,
        mayClose: () => (fields.isChanged() ? "You have typed something that is not sent. Discard it?" : null),
    });
    fields.name.focus();
}

async function edit(id, changed) {
    try {
        const { data, etag } = await call("GET", `accounts/${id}`);
        openAccount(data, etag, changed);
    } catch (error) {
        notify(error.message, "failed");
    }
}

function usedCell(account) {
    const used = account.requests_this_month.toLocaleString();
    return [
        used,
        account.quota !== null && el("span", { class: "quiet" }, ` of ${account.quota.toLocaleString()}`),
        " ",
        account.quota_exceeded && badge("Quota exceeded", "bad"),
    ];
}

function rowOf(account, changed) {
    return [
        [el("span", { class: "key-name" }, account.name), el("div", { class: "quiet small id" }, account.id)],
        [planName(account.plan), account.rate_limit && [" ", badge("own limits", "plain")]],
        [
            `${account.limits.per_hour.toLocaleString()} an hour`,
            el("div", { class: "quiet small" }, `${account.limits.per_minute.toLocaleString()} a minute`),
        ],
        usedCell(account),
        account.contact ?? el("span", { class: "quiet" }, "None"),
        whenDay(account.created_at),
        el(
            "div",
            { class: "actions" },
            button("Edit", () => edit(account.id, changed), {
                class: "btn btn-sm btn-outline-secondary",
                "aria-label": `Edit ${account.name}`,
            }),
            el(
                "a",
                {
                    class: "btn btn-sm btn-outline-secondary",
                    href: link("keys", { account: account.id }),
                    "aria-label": `Keys of ${account.name}`,
                },
                "Keys",
            ),
            el(
                "a",
                {
                    class: "btn btn-sm btn-outline-secondary",
                    href: link("usage", { account_id: account.id }),
                    "aria-label": `Usage of ${account.name}`,
                },
                "Usage",
            ),
        ),
    ];
}

const COLUMNS = [
    { label: "Account" },
    { label: "Plan" },
    { label: "Limit of each key" },
    { label: "Requests this month" },
    { label: "Contact" },
    { label: "Created" },
    { label: "Actions", hidden: true },
];

export function show(main, { signal }) {
    const list = el("section", { class: "panel flush", "aria-label": "Accounts" });
    let number = 1;
    let source = new Paged("accounts", {});
    const load = (to) =>
        loadInto(list, "the accounts", async () => {
            const page = await source.page(to, signal);
            number = page.number;
            if (page.rows.length === 0) return emptyBox("No accounts", "Make the first one.");
            return [
                table(
                    "Accounts",
                    COLUMNS,
                    page.rows.map((account) => rowOf(account, changed)),
                ),
                pager(page.number, page.hasMore, (next) => {
                    load(next);
                    main.querySelector("h1").focus();
                }),
            ];
        });
    function changed() {
        source = number === 1 ? new Paged("accounts", {}) : source;
        load(number);
    }
    fill(
        main,
        pageHead(
            "Accounts and plans",
            "Each account has a plan, which sets the limits of its keys.",
            el(
                "button",
                {
                    type: "button",
                    class: "btn btn-primary",
                    on: { click: () => openAccount(null, null, changed) },
                },
                icon("plus"),
                "New account",
            ),
        ),
        list,
    );
    return load(1);
}
