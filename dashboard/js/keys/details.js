// details - one key: what it may do, what it did, and what was done to it
import { alertItem } from "../alerts-view.js";
import { get } from "../api.js";
import { auditTable } from "../audit-view.js";
import { button, el, fill } from "../dom.js";
import { pageHead } from "../frame.js";
import { emptyBox, errorBox, isAbort, loadInto } from "../notice.js";
import { link } from "../router.js";
import { holds } from "../session.js";
import { badge, table } from "../table.js";
import { ago, whenAgo, whenFull } from "../time.js";
import { tile, usagePanels } from "../usage-view.js";
import { actionsFor } from "./actions.js";
import { environmentBadge, permissionTags, statusBadge } from "./view.js";

const keyLink = (id) => el("a", { href: link(`keys/${id}`), class: "id" }, id);

function limitText(limits, account) {
    const own = [
        limits?.per_hour && `${limits.per_hour.toLocaleString()} an hour`,
        limits?.per_minute && `${limits.per_minute.toLocaleString()} a minute`,
    ].filter(Boolean);
    if (own.length > 0) return own.join(", ");
    return account
        ? `Default: ${account.limits.per_hour.toLocaleString()} an hour, `
              + `${account.limits.per_minute.toLocaleString()} a minute`
        : "Default";
}

function facts(key, account) {
    const fact = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", { class: "wrap" }, value));
    return el(
        "dl",
        { class: "facts" },
        fact("Key", el("code", {}, key.prefix), el("span", { class: "quiet" }, ` ends in ${key.last_four}`)),
        fact("Permissions", permissionTags(key.permissions, 50)),
        fact("Rate limit", limitText(key.rate_limit, account)),
        fact("Expires", whenFull(key.expires_at), key.auto_renew && badge("Renews itself", "good")),
        fact("Created", whenFull(key.created_at), el("span", { class: "quiet small" }, `by ${key.created_by}`)),
        fact("Last used", whenFull(key.last_used)),
        key.revoked_at && fact("Revoked", whenFull(key.revoked_at)),
        fact("Allowed networks", key.allowed_ips ? key.allowed_ips.join(", ") : "Any"),
        fact("Account", key.account_id),
        fact("Id", key.id),
        key.rotated_from && fact("Replaces", keyLink(key.rotated_from)),
        key.rotated_to && fact("Replaced by", keyLink(key.rotated_to)),
    );
}

function networks(id, signal) {
    const box = el("div", {});
    loadInto(box, "the networks", async () => {
        const { data } = await get(`api-keys/${id}/networks`, {}, signal);
        if (data.length === 0) return emptyBox("No networks yet", "They appear with the key's first requests.");
        return table(
            "Networks",
            [{ label: "Network" }, { label: "First seen" }, { label: "Last seen" }, { label: "Requests" }],
            data.map((one) => [
                el("code", {}, one.network),
                whenAgo(one.first_seen),
                whenAgo(one.last_seen),
                one.requests.toLocaleString(),
            ]),
        );
    });
    return el(
        "section",
        { class: "panel flush", "aria-label": "Networks" },
        el("h2", {}, "Networks seen"),
        box,
    );
}

function alerts(id, signal) {
    const box = el("div", {});
    const load = () =>
        loadInto(box, "the alerts", async () => {
            const { data } = await get("alerts", { key_id: id, limit: 5 }, signal);
            if (data.length === 0) return emptyBox("No alerts", "Nothing looked wrong with this key.");
            return el(
                "ul",
                { class: "alert-list" },
                data.map((alert) => alertItem(alert, load)),
            );
        });
    load();
    return el("section", { class: "panel flush", "aria-label": "Alerts" }, el("h2", {}, "Its alerts"), box);
}

function trail(id, signal) {
    const box = el("div", {});
    loadInto(box, "the audit trail", async () => {
        const answer = await get("audit-log", { target: id, limit: 20 }, signal);
        if (answer.data.length === 0)
            return emptyBox("No entries", "Nothing was done to this key that the log keeps.");
        return [
            auditTable(answer.data, false),
            answer.has_more
                && el("p", { class: "pager" }, el("a", { href: link("audit", { target: id }) }, "All entries")),
        ];
    });
    return el(
        "section",
        { class: "panel flush", "aria-label": "Audit trail" },
        el("h2", {}, "Its audit trail"),
        box,
    );
}

async function accountOf(key, signal) {
    try {
        return await get(`accounts/${key.account_id}`, {}, signal);
    } catch (error) {
        if (isAbort(error) || error.status === 401) throw error;
        return null; // the page is worth showing without the plan's figures
    }
}

function actionButtons(key, changed) {
    return actionsFor(key, changed).map(([label, listener, danger]) =>
        button(label, listener, { class: danger ? "btn btn-outline-danger" : "btn btn-outline-secondary" }),
    );
}

async function body(id, signal, reload) {
    const key = await get(`api-keys/${id}`, {}, signal);
    const account = await accountOf(key, signal);
    const hourly = key.rate_limit?.per_hour ?? account?.limits.per_hour;
    const limitOf = (byDay) =>
        hourly && !byDay ? { value: hourly, label: `Limit: ${hourly.toLocaleString()} an hour` } : null;
    const panels = usagePanels({ query: { key_id: id }, limitOf, signal });
    return [
        pageHead(key.name, key.description, actionButtons(key, reload)),
        el("p", { class: "tags" }, statusBadge(key), " ", environmentBadge(key)),
        el(
            "div",
            { class: "tiles" },
            tile("Requests today", key.usage.requests_today.toLocaleString(), "since midnight UTC"),
            tile("Requests this month", key.usage.requests_this_month.toLocaleString(), "since the first, UTC"),
            tile("Last used", key.last_used ? ago(key.last_used) : "Never"),
            tile("Expires", key.expires_at ? ago(key.expires_at) : "Never"),
        ),
        el(
            "section",
            { class: "panel", "aria-label": "About this key" },
            el("h2", {}, "About this key"),
            facts(key, account),
        ),
        panels,
        networks(id, signal),
        holds("alerts:read") && key.environment === "live" && alerts(id, signal),
        holds("audit:read") && trail(id, signal),
    ];
}

export function show(main, { id, signal }) {
    const box = el("div", {});
    const load = () => loadInto(box, "the key", () => body(id, signal, load).catch(failed));
    function failed(error) {
        if (isAbort(error)) throw error;
        return [pageHead("API key", ""), errorBox(error, load)];
    }
    fill(main, el("p", { class: "back" }, el("a", { href: "#/keys" }, "← API keys")), box);
    return load();
}
