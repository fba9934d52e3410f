// table - tables that turn to cards on a narrow screen, page buttons, sorting heads
//
// The roles are written out because a table that is displayed as blocks may lose its own.
import { button, el } from "./dom.js";

// columns: {label, hidden, sort: {state: "ascending"|"descending"|"none", toggle}}
// rows: arrays of cells, in the order of the columns
export function table(caption, columns, rows) {
    const cell = (content, index) =>
        el(
            "td",
            { role: "cell", data: { label: columns[index].label } },
            el("div", { class: "cell" }, content),
        );
    return el(
        "div",
        { class: "table-box" },
        el(
            "table",
            { role: "table", class: "table" },
            el("caption", { class: "visually-hidden" }, caption),
            el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, columns.map(heading))),
            el(
                "tbody",
                { role: "rowgroup" },
                rows.map((row) =>
                    el(
                        "tr",
                        { role: "row" },
                        row.map((content, index) =>
                            index === 0
                                ? el(
                                      "th",
                                      { role: "rowheader", scope: "row", data: { label: columns[0].label } },
                                      el("div", { class: "cell" }, content),
                                  )
                                : cell(content, index),
                        ),
                    ),
                ),
            ),
        ),
    );
}

function heading(column) {
    const label = column.hidden ? el("span", { class: "visually-hidden" }, column.label) : column.label;
    if (!column.sort) return el("th", { role: "columnheader", scope: "col" }, label);
    const mark = { ascending: "↑", descending: "↓", none: "" }[column.sort.state];
    return el(
        "th",
        { role: "columnheader", scope: "col", "aria-sort": column.sort.state },
        el(
            "button",
            { type: "button", class: "plain sort", on: { click: column.sort.toggle } },
            label,
            el("span", { "aria-hidden": "true", class: "sort-mark" }, mark),
        ),
    );
}

// Page buttons: number counts from 1; more: what else stands in that line.
export function pager(number, hasMore, turn, ...more) {
    const others = more.filter(Boolean);
    if (number === 1 && !hasMore) return others.length > 0 && el("div", { class: "pager quiet" }, others);
    const step = (label, to, disabled) =>
        button(label, () => turn(to), { disabled, class: "btn btn-sm btn-outline-secondary" });
    return el(
        "nav",
        { class: "pager", "aria-label": "Pages of the list" },
        step("Previous", number - 1, number === 1),
        el("span", {}, `Page ${number}`),
        step("Next", number + 1, !hasMore),
        others,
    );
}

export function badge(text, kind = "plain") {
    return el("span", { class: `tag tag-${kind}` }, text);
}
