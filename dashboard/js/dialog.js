// dialog - a modal dialog on the browser's own <dialog>: it keeps the focus and gives it back
//
// A dialog with unsent input asks before it closes.  Escape is taken here and not left to
// the browser, which closes on the second press whatever the page says.
import { button, el, freshId, icon } from "./dom.js";

let open = 0;

// options: title, body (node), wide, mayClose: () => null or a sentence that asks
export function openDialog({ title, body, wide = false, mayClose = () => null, onClosed = () => {} }) {
    const heading = freshId("dialog");
    const ask = el("div", { class: "dialog-ask", hidden: true, role: "alert" });
    const dialog = el(
        "dialog",
        { class: wide ? "wide" : "", "aria-labelledby": heading },
        el(
            "div",
            { class: "dialog-head" },
            el("h2", { id: heading, tabindex: "-1" }, title),
            el(
                "button",
                { type: "button", class: "plain", "aria-label": "Close", on: { click: request } },
                icon("close"),
            ),
        ),
        ask,
        el("div", { class: "dialog-body" }, body),
    );

    function close() {
        dialog.close();
        dialog.remove();
        open -= 1;
        onClosed();
    }

    function request() {
        const question = mayClose();
        if (!question) return close();
        ask.hidden = false;
        ask.replaceChildren(
            el("p", {}, question),
            el(
                "div",
                { class: "actions" },
                button("Close anyway", close, { class: "btn btn-danger" }),
                button("Go back", () => {
                    ask.hidden = true;
                }),
            ),
        );
        ask.querySelector("button:last-child").focus();
        return undefined;
    }

    function leave(event) {
        if (mayClose()) event.preventDefault();
    }

    dialog.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        request();
    });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    window.addEventListener("beforeunload", leave);
    dialog.addEventListener("close", () => window.removeEventListener("beforeunload", leave));
    document.body.append(dialog);
    dialog.showModal();
    open += 1;
    return { dialog, close, request };
}

export function isDialogOpen() {
    return open > 0;
}

// When the session ends, what is open must not go on showing an account's data.
export function closeAll() {
    for (const dialog of document.querySelectorAll("dialog")) {
        dialog.close();
        dialog.remove();
    }
    open = 0;
}
