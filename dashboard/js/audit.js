// audit - the audit log of the account, or of all for administrators
import { accountInput } from "./accounts-input.js";
import { ACTION_NAMES, auditTable } from "./audit-view.js";
import { el, fill } from "./dom.js";
import { select, textInput } from "./field.js";
import { pageHead } from "./frame.js";
import { emptyBox, loadInto } from "./notice.js";
import { Paged } from "./paged.js";
import { replaceQuery } from "./router.js";
import { isAdmin } from "./session.js";
import { pager } from "./table.js";

export function show(main, { query, signal }) {
    const filter = {
        action: query.get("action") ?? "",
        target: query.get("target") ?? "",
        account_id: query.get("account_id") ?? "",
    };
    const list = el("section", { class: "panel flush", "aria-label": "Entries" });
    let source = null;

    const load = (number) =>
        loadInto(list, "the audit log", async () => {
            const page = await source.page(number, signal);
            if (page.rows.length === 0)
                return emptyBox("No entries", "Nothing that was done fits the filters.");
            return [
                auditTable(page.rows),
                pager(page.number, page.hasMore, (to) => {
                    load(to);
                    main.querySelector("h1").focus();
                }),
            ];
        });

    function restart() {
        source = new Paged("audit-log", filter, { cursor: "before" });
        return load(1);
    }

    function set(name, value) {
        if (filter[name] === value) return;
        filter[name] = value;
        replaceQuery("audit", filter);
        restart();
    }

    const target = textInput({
        type: "search",
        id: "audit-target",
        placeholder: "Id of a key or account",
        value: filter.target,
        maxlength: 100,
        on: { change: () => set("target", target.value.trim()) },
    });
    fill(
        main,
        pageHead("Audit log", "Who changed what, and when."),
        el(
            "form",
            {
                class: "toolbar",
                role: "search",
                "aria-label": "Audit log",
                on: {
                    submit: (event) => {
                        event.preventDefault();
                        set("target", target.value.trim());
                    },
                },
            },
            el(
                "div",
                { class: "grow" },
                el("label", { class: "visually-hidden", for: "audit-target" }, "Which thing was changed"),
                target,
            ),
            el(
                "div",
                {},
                el("label", { class: "visually-hidden", for: "audit-action" }, "Action"),
                select([["", "Every action"], ...ACTION_NAMES], filter.action, {
                    id: "audit-action",
                    on: { change: (event) => set("action", event.target.value) },
                }),
            ),
            isAdmin()
                && accountInput({
                    label: "Account",
                    value: filter.account_id,
                    compact: true,
                    changed: (id) => set("account_id", id),
                }),
        ),
        list,
    );
    return restart();
}
