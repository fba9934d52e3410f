// alerts-view - an alert as it is shown, and what can be done with it
import { call } from "./api.js";
import { button, el, icon } from "./dom.js";
import { isAbort, notify, words } from "./notice.js";
import { link } from "./router.js";
import { holds } from "./session.js";
import { badge } from "./table.js";
import { when, whenAgo } from "./time.js";

export const KINDS = {
    new_ip: "Used from a new network",
    new_location: "Used from a new location",
    auth_failures: "Authentication failures",
    credential_stuffing: "Credential stuffing",
    revoked_key_used: "Revoked key used",
    expired_key_used: "Expired key used",
    scope_probing: "Probing for permissions",
    environment_mismatch: "Used in the other environment",
    ip_not_allowed: "Used from an address that is not allowed",
    rate_limit_hits: "Rate limit hits",
    quota_warning: "Quota nearly used up",
    quota_exceeded: "Quota exceeded",
    unusual_traffic: "Unusual traffic",
    key_expiring: "Key expires soon",
    key_expired: "Key expired",
    key_renewed: "Key renewed",
    rotation_due: "Rotation due",
    unused_key: "Unused key",
    leaked_key: "Leaked key",
    events_lost: "Events lost",
};

export const SEVERITIES = {
    critical: ["Critical", "bad"],
    warning: ["Warning", "warn"],
    info: ["Info", "plain"],
};
export const STATUSES = { open: "Open", acknowledged: "Acknowledged", resolved: "Resolved" };

const NEXT = {
    open: [
        ["acknowledged", "Acknowledge"],
        ["resolved", "Resolve"],
    ],
    acknowledged: [
        ["resolved", "Resolve"],
        ["open", "Reopen"],
    ],
    resolved: [["open", "Reopen"]],
};

export const kindText = (kind) => KINDS[kind] ?? kind.replaceAll("_", " ");

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

async function change(alert, status, done) {
    try {
        const { data } = await call("PATCH", `alerts/${alert.id}`, { body: { status } });
        notify(`${kindText(alert.kind)}: ${STATUSES[data.status]?.toLowerCase() ?? data.status}.`);
        done(data);
    } catch (error) {
        if (!isAbort(error)) notify(words(error), "failed");
    }
}

// Details differ by kind: names and plain values are shown, whatever they are.
function details(values) {
    const entries = Object.entries(values ?? {});
    const plain = (value) =>
        TIME.test(value)
            ? when(value)
            : value !== null && typeof value === "object"
              ? JSON.stringify(value)
              : String(value);
    return (
        entries.length > 0
        && el(
            "dl",
            { class: "facts" },
            entries.map(([name, value]) =>
                el(
                    "div",
                    {},
                    el("dt", {}, name.replaceAll("_", " ")),
                    el("dd", { class: "wrap" }, plain(value)),
                ),
            ),
        )
    );
}

export function alertItem(alert, done) {
    const [severity, kind] = SEVERITIES[alert.severity] ?? [alert.severity, "plain"];
    return el(
        "li",
        { class: `alert-item alert-${kind}`, data: { alert: alert.id } },
        el("div", { class: "alert-mark" }, icon(kind === "plain" ? "bell" : "warn")),
        el(
            "div",
            { class: "grow" },
            el(
                "h3",
                {},
                kindText(alert.kind),
                " ",
                badge(severity, kind),
                " ",
                alert.status !== "open" && badge(STATUSES[alert.status] ?? alert.status),
            ),
            el("p", { class: "mb-1 wrap" }, alert.message),
            el(
                "p",
                { class: "quiet small mb-1" },
                whenAgo(alert.last_seen),
                alert.count > 1 && [
                    ` · ${alert.count.toLocaleString()} times since `,
                    whenAgo(alert.first_seen),
                ],
                alert.key_id && [" · ", el("a", { href: link(`keys/${alert.key_id}`) }, "its key")],
                alert.acknowledged_by && ` · acknowledged by ${alert.acknowledged_by}`,
            ),
            details(alert.details),
        ),
        holds("alerts:write")
            && el(
                "div",
                { class: "actions" },
                (NEXT[alert.status] ?? []).map(([status, label]) =>
                    button(label, () => change(alert, status, done), {
                        class: "btn btn-sm btn-outline-secondary",
                        "aria-label": `${label}: ${kindText(alert.kind)}`,
                    }),
                ),
            ),
    );
}
