// alerts - what looked wrong: live, filtered, acknowledged
import { el, fill } from "./dom.js";
import { select } from "./field.js";
import { pageHead } from "./frame.js";
import { emptyBox, errorBox, isAbort, loading, words } from "./notice.js";
import { replaceQuery } from "./router.js";
import { pager } from "./table.js";
import { alertItem, KINDS, SEVERITIES, STATUSES } from "./alerts-view.js";
import { Paged } from "./paged.js";

const LIVE_MS = 5000; // between two looks while the page is in front

const FILTERS = {
    status: [
        "Status",
        [
            ["open", STATUSES.open],
            ["acknowledged", STATUSES.acknowledged],
            ["resolved", STATUSES.resolved],
            ["", "All"],
        ],
    ],
    severity: [
        "Severity",
        [["", "Every severity"], ...Object.entries(SEVERITIES).map(([key, [label]]) => [key, label])],
    ],
    kind: ["Kind", [["", "Every kind"], ...Object.entries(KINDS)]],
};

class AlertList {
    constructor(main, query, signal) {
        this.main = main;
        this.signal = signal;
        this.filter = {
            status: query.has("status") ? query.get("status") : "open",
            severity: query.get("severity") ?? "",
            kind: query.get("kind") ?? "",
        };
        if (this.filter.status === "all") this.filter.status = "";
        this.list = el("section", { class: "panel flush", "aria-label": "Alerts" });
        this.state = el("p", { class: "live", role: "status" });
        this.drawn = "";
        this.restart();
    }

    restart() {
        this.source = new Paged("alerts", this.filter);
        this.number = 1;
        this.known = null;
    }

    set(name, value) {
        this.filter[name] = value;
        replaceQuery("alerts", { ...this.filter, status: this.filter.status || "all" });
        this.restart();
        fill(this.list, loading("the alerts"));
        this.drawn = "";
        this.load();
    }

    toolbar() {
        return el(
            "form",
            { class: "toolbar", "aria-label": "Filter", on: { submit: (event) => event.preventDefault() } },
            Object.entries(FILTERS).map(([name, [label, options]]) =>
                el(
                    "div",
                    {},
                    el("label", { class: "visually-hidden", for: `alert-${name}` }, label),
                    select(options, this.filter[name], {
                        id: `alert-${name}`,
                        on: { change: (event) => this.set(name, event.target.value) },
                    }),
                ),
            ),
            this.state,
        );
    }

    // live: asked by the clock and not by the reader, who must not lose their place by it
    async load(live = false) {
        const { source } = this;
        try {
            const page = await source.page(this.number, this.signal);
            if (source !== this.source) return;
            this.number = page.number;
            this.show(page);
            this.tellFresh(page.rows);
            fill(this.state, el("span", { class: "live-dot", "aria-hidden": "true" }), this.fresh ?? "Live");
        } catch (error) {
            if (isAbort(error) || source !== this.source) return;
            if (live) fill(this.state, `Not live: ${words(error)}`);
            else
                fill(
                    this.list,
                    errorBox(error, () => this.load()),
                );
        }
    }

    tellFresh(rows) {
        const ids = new Set(rows.map((one) => one.id));
        const fresh =
            this.known && this.number === 1 ? rows.filter((one) => !this.known.has(one.id)).length : 0;
        this.known = this.known && this.number !== 1 ? this.known : ids;
        if (fresh > 0) this.fresh = `Live: ${fresh} new alert${fresh === 1 ? "" : "s"}`;
    }

    show({ rows, hasMore, number }) {
        const drawn = JSON.stringify([rows, hasMore, number]);
        if (drawn === this.drawn) return;
        const focused = document.activeElement?.closest?.("[data-alert]")?.dataset.alert;
        this.drawn = drawn;
        fill(
            this.list,
            rows.length === 0
                ? emptyBox(
                      "No alerts here",
                      this.filter.status === "open"
                          ? "Nothing looks wrong that nobody has seen."
                          : "No alert fits the filters.",
                  )
                : [
                      el(
                          "ul",
                          { class: "alert-list" },
                          rows.map((alert) => alertItem(alert, () => this.load())),
                      ),
                      pager(number, hasMore, (to) => {
                          this.number = to;
                          this.load();
                          this.main.querySelector("h1").focus();
                      }),
                  ],
        );
        if (focused) this.list.querySelector(`[data-alert="${CSS.escape(focused)}"] button`)?.focus();
    }

    async start() {
        fill(
            this.main,
            pageHead("Alerts", "What looked wrong with your keys, as it happens."),
            this.toolbar(),
            this.list,
        );
        fill(this.list, loading("the alerts"));
        const timer = setInterval(() => document.visibilityState === "visible" && this.load(true), LIVE_MS);
        this.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
        await this.load();
    }
}

export function show(main, { query, signal }) {
    return new AlertList(main, query, signal).start();
}
