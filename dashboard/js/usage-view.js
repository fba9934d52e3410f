// usage-view - figures, a chart by hour or day, and refusals by reason: of a key or an account
import { get } from "./api.js";
import { labelOf, showChart } from "./charts.js";
import { el, fill } from "./dom.js";
import { freshRadios } from "./field.js";
import { loadInto } from "./notice.js";

const REASONS = {
    missing_credentials: "No key was sent",
    malformed_key: "Not a key of this service",
    unknown_key: "Unknown key",
    expired_key: "Expired key",
    revoked_key: "Revoked key",
    insufficient_scope: "Missing permission",
    environment_mismatch: "Wrong environment",
    ip_not_allowed: "Address not allowed",
    plan_required: "Plan does not include it",
    rate_limit_exceeded: "Rate limit exceeded",
    quota_exceeded: "Monthly quota exceeded",
    too_many_failures: "Too many failures from the address",
    store_unavailable: "Could not be checked",
    scope_not_held: "Permission that cannot be granted",
    forbidden: "Forbidden by the server's rules",
};

export const reasonText = (code) => REASONS[code] ?? code.replaceAll("_", " ");

function reasons(data) {
    const sums = new Map();
    for (const bucket of data) {
        for (const [code, count] of Object.entries(bucket.decisions)) {
            if (code !== "ok") sums.set(code, (sums.get(code) ?? 0) + count);
        }
    }
    return [...sums].sort((a, b) => b[1] - a[1]);
}

function refusals(data) {
    const sums = reasons(data);
    if (sums.length === 0) return el("p", { class: "quiet mb-0" }, "Nothing was refused in this time.");
    return el(
        "ul",
        { class: "bars" },
        sums.map(([code, count]) =>
            el(
                "li",
                {},
                el("span", {}, reasonText(code)),
                el("span", { class: "count" }, count.toLocaleString()),
                el("progress", { max: sums[0][1], value: String(count), "aria-hidden": "true" }),
            ),
        ),
    );
}

export function tile(label, value, note) {
    return el(
        "div",
        { class: "tile" },
        el("div", { class: "tile-label" }, label),
        el("div", { class: "tile-value" }, value),
        note && el("div", { class: "quiet small" }, note),
    );
}

const span = (usage, byDay) => `${labelOf(usage.from, byDay, true)} to now`;

// query: whose figures, as for GET usage.  limitOf(byDay): {value, label} or null.
// told(usage) is called with each answer.
export function usagePanels({ query, limitOf, told = () => {}, signal }) {
    const [granularity, radios] = freshRadios(
        [
            ["hour", "By hour"],
            ["day", "By day"],
        ],
        "hour",
    );
    const chart = el("div", {});
    const refused = el("div", {});
    const sentence = el("p", { class: "quiet small" });
    let usage = null;
    let drawn = null;

    async function read() {
        usage = await get("usage", { ...query, granularity: granularity() }, signal);
        told(usage);
        fill(sentence, span(usage, usage.granularity === "day"));
        fill(refused, refusals(usage.data));
        drawn = el("div", {});
        return drawn;
    }

    // A chart takes its size from the page: it is drawn once its box is there.
    function draw() {
        const byDay = usage.granularity === "day";
        return showChart(drawn, { data: usage.data, byDay, limit: limitOf(byDay), signal });
    }

    const load = () => loadInto(chart, "the figures", read, draw);
    radios.addEventListener("change", load);
    load();
    return [
        el(
            "section",
            { class: "panel", "aria-label": "Requests over time" },
            el(
                "div",
                { class: "panel-head" },
                el("div", {}, el("h2", {}, "Requests"), sentence),
                el("div", { role: "group", "aria-label": "Length of a bar" }, radios),
            ),
            chart,
        ),
        el(
            "section",
            { class: "panel", "aria-label": "Refusals" },
            el("h2", {}, "Refusals by reason"),
            refused,
        ),
    ];
}
