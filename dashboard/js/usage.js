// usage - what the account used, against its limits
import { accountInput } from "./accounts-input.js";
import { get, ownAccount } from "./api.js";
import { el, fill } from "./dom.js";
import { select } from "./field.js";
import { pageHead } from "./frame.js";
import { isAbort, loadInto } from "./notice.js";
import { replaceQuery } from "./router.js";
import { isAdmin } from "./session.js";
import { tile, usagePanels } from "./usage-view.js";

const accountOf = (id, signal) => (id ? get(`accounts/${id}`, {}, signal) : ownAccount(signal));

function quotaTile(account) {
    if (!account) return null;
    if (account.quota === null)
        return tile("Monthly quota", "None", "Requests are not counted against a quota.");
    const used = account.requests_this_month;
    const rounded = Math.min(100, Math.round((used / account.quota) * 100));
    const share = used > 0 && rounded === 0 ? "under 1" : rounded;
    return tile("Monthly quota", `${share} %`, [
        el("meter", {
            min: 0,
            max: account.quota,
            high: account.quota * 0.8,
            low: account.quota * 0.8,
            optimum: 0,
            value: used,
            "aria-label": `${share} % of the monthly quota`,
        }),
        el("div", {}, `${used.toLocaleString()} of ${account.quota.toLocaleString()} requests by live keys`),
    ]);
}

function limitTile(account) {
    return (
        account
        && tile(
            "Limit of each key",
            `${account.limits.per_hour.toLocaleString()} an hour`,
            `${account.limits.per_minute.toLocaleString()} a minute, by the ${account.plan} plan or the account's own. `
                + "A key may have its own.",
        )
    );
}

// By day, the month's quota is drawn as what it allows on each day.
function quotaShare(account) {
    if (!account?.quota) return null;
    const value = Math.floor(account.quota / 30);
    return { value, label: `Monthly quota spread over 30 days: ${value.toLocaleString()} a day` };
}

async function body(filter, signal) {
    let account = null;
    try {
        account = await accountOf(filter.account_id, signal);
    } catch (error) {
        if (isAbort(error) || filter.account_id) throw error;
    }
    const today = el("span", {}, "…");
    const month = el("span", {}, "…");
    const limitOf = (byDay) =>
        account && !byDay
            ? {
                  value: account.limits.per_hour,
                  label: `Limit of one key: ${account.limits.per_hour.toLocaleString()} an hour`,
              }
            : quotaShare(account);
    const panels = usagePanels({
        query: filter,
        limitOf,
        signal,
        told: (usage) => {
            fill(today, usage.requests_today.toLocaleString());
            fill(month, usage.requests_this_month.toLocaleString());
        },
    });
    return [
        el(
            "div",
            { class: "tiles" },
            tile("Requests today", today, "since midnight UTC"),
            tile("Requests this month", month, "since the first, UTC"),
            quotaTile(account),
            limitTile(account),
        ),
        panels,
    ];
}

export function show(main, { query, signal }) {
    const filter = { account_id: query.get("account_id") ?? "", environment: query.get("environment") ?? "" };
    const box = el("div", {});
    const load = () => loadInto(box, "the usage", () => body(filter, signal));
    const set = (name, value) => {
        filter[name] = value;
        replaceQuery("usage", filter);
        load();
    };
    fill(
        main,
        pageHead("Usage", "Requests that your keys made, and how much of the limits they used."),
        el(
            "form",
            { class: "toolbar", "aria-label": "Filter", on: { submit: (event) => event.preventDefault() } },
            el(
                "div",
                {},
                el("label", { class: "visually-hidden", for: "usage-environment" }, "Environment"),
                select(
                    [
                        ["live", "Live keys"],
                        ["test", "Test keys"],
                    ],
                    filter.environment || "live",
                    {
                        id: "usage-environment",
                        on: { change: (event) => set("environment", event.target.value) },
                    },
                ),
            ),
            isAdmin()
                && accountInput({
                    label: "Account",
                    value: filter.account_id,
                    compact: true,
                    changed: (id) => set("account_id", id),
                }),
        ),
        box,
    );
    return load();
}
