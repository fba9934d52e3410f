// list - Settings → API: the account's keys, to search, filter, sort and act on
import { button, el, fill, icon } from "../dom.js";
import { select, textInput } from "../field.js";
import { pageHead } from "../frame.js";
import { emptyBox, errorBox, isAbort, loading } from "../notice.js";
import { link, replaceQuery } from "../router.js";
import { holds, isAdmin } from "../session.js";
import { pager, table } from "../table.js";
import { whenAgo, whenDay } from "../time.js";
import { accountInput } from "../accounts-input.js";
import { actionsFor, generate } from "./actions.js";
import { menu } from "../menu.js";
import { KeySource, ORDERS } from "./source.js";
import { environmentBadge, permissionTags, statusBadge } from "./view.js";

const SIZES = ["25", "50", "100"];
const TYPING_MS = 250;

const STATUSES = [
    ["", "All but revoked"],
    ["active", "Active"],
    ["expired", "Expired"],
    ["revoked", "Revoked"],
    ["all", "All"],
];
const ENVIRONMENTS = [
    ["", "Live and test"],
    ["live", "Live"],
    ["test", "Test"],
];

function nameCell(key) {
    return [
        el("a", { class: "key-name", href: link(`keys/${key.id}`) }, key.name),
        key.description && el("div", { class: "quiet small clip" }, key.description),
    ];
}

function rowOf(key, changed) {
    const actions = actionsFor(key, changed);
    return [
        nameCell(key),
        [
            el("code", { class: "prefix", title: `ends in ${key.last_four}` }, key.prefix),
            " ",
            environmentBadge(key),
        ],
        permissionTags(key.permissions),
        whenAgo(key.last_used),
        whenDay(key.created_at),
        whenDay(key.expires_at),
        statusBadge(key),
        actions.length > 0 && menu(`Actions for ${key.name}`, actions),
    ];
}

// The list's state stands in the address, so that Back and Reload keep it.
function readState(query) {
    const size = SIZES.includes(query.get("size")) ? query.get("size") : SIZES[0];
    const order = Object.hasOwn(ORDERS, query.get("order") ?? "") ? query.get("order") : "newest";
    return {
        search: query.get("search") ?? "",
        status: query.get("status") ?? "",
        environment: query.get("environment") ?? "",
        account: query.get("account") ?? "",
        order,
        size,
    };
}

class KeyList {
    constructor(main, query, signal) {
        this.main = main;
        this.signal = signal;
        this.state = readState(query);
        this.number = 1;
        this.result = el("section", { "aria-label": "Keys", class: "panel flush" });
        this.heard = el("p", { class: "visually-hidden", role: "status" });
        this.asked = null;
        this.restart();
    }

    restart() {
        const { search, status, environment, account, order, size } = this.state;
        this.source = new KeySource({ search, status, environment, account_id: account }, order, Number(size));
        this.number = 1;
    }

    set(name, value) {
        if (this.state[name] === value) return;
        this.state[name] = value;
        replaceQuery("keys", {
            ...this.state,
            order: this.state.order === "newest" ? "" : this.state.order,
            size: this.state.size === SIZES[0] ? "" : this.state.size,
        });
        if (name === "order") this.orderSelect.value = value;
        this.restart();
        this.load();
    }

    pick(name, label, options) {
        return el(
            "div",
            {},
            el("label", { class: "visually-hidden", for: `filter-${name}` }, label),
            select(options, this.state[name], {
                id: `filter-${name}`,
                on: { change: (event) => this.set(name, event.target.value) },
            }),
        );
    }

    toolbar() {
        let typing = 0;
        const search = textInput({
            type: "search",
            id: "filter-search",
            placeholder: "Search by name, prefix or id",
            maxlength: 100,
            value: this.state.search,
            on: {
                input: () => {
                    clearTimeout(typing);
                    typing = setTimeout(() => this.set("search", search.value.trim()), TYPING_MS);
                },
            },
        });
        const bar = el(
            "form",
            {
                class: "toolbar",
                role: "search",
                "aria-label": "Keys",
                on: {
                    submit: (event) => {
                        event.preventDefault();
                        this.set("search", search.value.trim());
                    },
                },
            },
            el(
                "div",
                { class: "grow" },
                el("label", { class: "visually-hidden", for: "filter-search" }, "Search keys"),
                search,
            ),
            this.pick("status", "Status", STATUSES),
            this.pick("environment", "Environment", ENVIRONMENTS),
            this.pick("order", "Order", Object.entries(ORDERS)),
            isAdmin()
                && accountInput({
                    value: this.state.account,
                    label: "Account",
                    compact: true,
                    changed: (id) => this.set("account", id),
                }),
        );
        this.orderSelect = bar.querySelector("#filter-order");
        return bar;
    }

    sizes() {
        return this.pick(
            "size",
            "Keys on a page",
            SIZES.map((size) => [size, `${size} a page`]),
        );
    }

    columns() {
        const sort = (up, down) => ({
            state: this.state.order === up ? "ascending" : this.state.order === down ? "descending" : "none",
            toggle: () => this.set("order", this.state.order === up ? down : up),
        });
        return [
            { label: "Name", sort: sort("name", "name-down") },
            { label: "Key" },
            { label: "Permissions" },
            { label: "Last used", sort: sort("used-down", "used") },
            { label: "Created", sort: sort("oldest", "newest") },
            { label: "Expires", sort: sort("expires", "expires-down") },
            { label: "Status" },
            { label: "Actions", hidden: true },
        ];
    }

    async load() {
        this.asked?.abort();
        this.asked = new AbortController();
        const { signal } = this.asked;
        this.signal.addEventListener("abort", () => this.asked.abort(), { once: true });
        const slow = setTimeout(() => fill(this.result, loading("the keys")), 300);
        const told = (count) => {
            this.heard.textContent = `Read ${count} keys`;
        };
        try {
            const page = await this.source.page(this.number, signal, told);
            clearTimeout(slow);
            if (signal.aborted) return;
            this.number = page.number;
            this.showRows(page);
        } catch (error) {
            clearTimeout(slow);
            if (!isAbort(error) && !signal.aborted)
                fill(
                    this.result,
                    errorBox(error, () => this.load()),
                );
        }
    }

    isFiltered() {
        const { search, status, environment, account } = this.state;
        return Boolean(search || status || environment || account);
    }

    showRows({ rows, hasMore, number, total }) {
        if (rows.length === 0) return this.showNone();
        const focused = document.activeElement?.closest("th")?.cellIndex;
        fill(
            this.result,
            table(
                "API keys",
                this.columns(),
                rows.map((key) => rowOf(key, () => this.changed())),
            ),
            pager(
                number,
                hasMore,
                (to) => this.turn(to),
                total === null ? null : `${total.toLocaleString()} keys`,
                (hasMore || number > 1 || this.state.size !== SIZES[0]) && this.sizes(),
            ),
        );
        if (focused !== undefined)
            this.result.querySelectorAll("thead th")[focused]?.querySelector("button")?.focus();
        const count = `${rows.length} key${rows.length === 1 ? "" : "s"}`;
        this.heard.textContent = `Page ${number}, ${count}${hasMore ? ", more follow" : ""}`;
        return undefined;
    }

    showNone() {
        this.heard.textContent = "No keys";
        fill(
            this.result,
            this.isFiltered()
                ? emptyBox(
                      "No key fits",
                      "Change the search or the filters to see more.",
                      button("Clear filters", () => this.clear()),
                  )
                : emptyBox(
                      "No keys yet",
                      "A key lets a program of yours call this service. Give each program its own.",
                      generateButton(() => this.changed()),
                  ),
        );
    }

    clear() {
        Object.assign(this.state, { search: "", status: "", environment: "", account: "" });
        replaceQuery("keys", {});
        this.show();
    }

    turn(number) {
        this.number = number;
        this.load();
        this.main.querySelector("h1").focus();
    }

    changed() {
        this.source.all = null;
        this.load();
    }

    show() {
        this.restart();
        fill(
            this.main,
            pageHead(
                "API",
                "Keys that your programs present to call this service.",
                generateButton(() => this.changed()),
            ),
            this.toolbar(),
            this.heard,
            this.result,
        );
        return this.load();
    }
}

function generateButton(changed) {
    return (
        holds("api-keys:write")
        && el(
            "button",
            { type: "button", class: "btn btn-primary", on: { click: () => generate(changed) } },
            icon("plus"),
            "Generate New Key",
        )
    );
}

export function show(main, { query, signal }) {
    if (!holds("api-keys:read")) {
        fill(
            main,
            pageHead("API", ""),
            el(
                "div",
                { class: "panel" },
                emptyBox(
                    "Your key may not see keys",
                    "It lacks the permission api-keys:read. Sign in with a key that has it.",
                ),
            ),
        );
        return undefined;
    }
    return new KeyList(main, query, signal).show();
}
