// menu - a button that opens a short list of actions
import { el, freshId, icon } from "./dom.js";

// actions: [label, listener, danger]
export function menu(label, actions) {
    const id = freshId("menu");
    const list = el(
        "div",
        { id, class: "menu-list", hidden: true },
        actions.map(([text, listener, danger]) =>
            el(
                "button",
                {
                    type: "button",
                    class: danger ? "danger" : "",
                    on: {
                        click: () => {
                            set(false);
                            opener.focus();
                            listener();
                        },
                    },
                },
                text,
            ),
        ),
    );
    const opener = el(
        "button",
        {
            type: "button",
            class: "plain menu-opener",
            "aria-label": label,
            "aria-expanded": "false",
            "aria-controls": id,
            on: { click: () => set(list.hidden) },
        },
        icon("more"),
    );
    const box = el("div", { class: "menu" }, opener, list);

    function set(open) {
        list.hidden = !open;
        opener.setAttribute("aria-expanded", String(open));
        if (open) list.querySelector("button").focus();
    }

    box.addEventListener("focusout", (event) => {
        if (!box.contains(event.relatedTarget)) set(false);
    });
    box.addEventListener("keydown", (event) => move(event));

    function move(event) {
        const buttons = [...list.querySelectorAll("button")];
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (event.key === "Escape" && !list.hidden) {
            event.stopPropagation();
            set(false);
            opener.focus();
        } else if (step) {
            event.preventDefault();
            if (list.hidden) set(true);
            else buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length).focus();
        }
    }
    return box;
}
