// frame - what stands around every page: the name, the way between pages, who is signed in
import { el, fill, icon } from "./dom.js";
import { holds, isAdmin, session, shownKey } from "./session.js";

const PLACES = [
    { group: "Settings", path: "keys", label: "API", icon: "key", needs: "api-keys:read" },
    { group: "Watch", path: "alerts", label: "Alerts", icon: "bell", needs: "alerts:read" },
    { group: "Watch", path: "usage", label: "Usage", icon: "chart", needs: "api-keys:read" },
    { group: "Watch", path: "audit", label: "Audit log", icon: "list", needs: "audit:read" },
    {
        group: "Administration",
        path: "accounts",
        label: "Accounts and plans",
        icon: "people",
        needs: "admin:*",
    },
];

function entries() {
    return PLACES.filter((place) => holds(place.needs) || place.path === "keys");
}

function navigation() {
    const groups = [...new Set(entries().map((place) => place.group))];
    return el(
        "nav",
        { id: "places", "aria-label": "Pages" },
        groups.map((group) =>
            el(
                "div",
                { class: "nav-group" },
                el("h2", { class: "nav-title" }, group),
                el(
                    "ul",
                    {},
                    entries()
                        .filter((place) => place.group === group)
                        .map((place) =>
                            el(
                                "li",
                                {},
                                el(
                                    "a",
                                    { href: `#/${place.path}`, data: { place: place.path } },
                                    icon(place.icon),
                                    place.label,
                                ),
                            ),
                        ),
                ),
            ),
        ),
    );
}

function who() {
    if (session.byServer) return "Signed in by this server";
    return isAdmin() ? `${shownKey()} · administrator` : shownKey();
}

// Build the frame; returns the element that pages are shown in.
export function showFrame(signOut) {
    const menu = el(
        "button",
        {
            type: "button",
            class: "plain menu-button",
            "aria-expanded": "false",
            "aria-controls": "places",
            "aria-label": "Menu",
        },
        icon("menu"),
    );
    const nav = navigation();
    menu.addEventListener("click", () => setMenu(menu.getAttribute("aria-expanded") !== "true"));
    function setMenu(open) {
        menu.setAttribute("aria-expanded", String(open));
        nav.classList.toggle("open", open);
    }
    nav.addEventListener("click", (event) => event.target.closest("a") && setMenu(false));

    const main = el("main", { id: "main", tabindex: "-1" });
    fill(
        document.getElementById("frame"),
        el(
            "header",
            { class: "top" },
            menu,
            el(
                "a",
                { class: "brand", href: "#/keys" },
                el("img", { src: "icon.svg", alt: "", width: 28, height: 28 }),
                "API keys",
            ),
            el("span", { class: "who", title: "Who is signed in" }, who()),
            !session.byServer
                && el(
                    "button",
                    { type: "button", class: "btn btn-sm btn-outline-secondary", on: { click: signOut } },
                    "Sign out",
                ),
        ),
        el("div", { class: "columns" }, nav, main),
    );
    return main;
}

export function markPlace(path) {
    for (const link of document.querySelectorAll("#places a")) {
        if (link.dataset.place === path) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
    }
}

// The head of a page: its title, a sentence, and what can be done there.
export function pageHead(title, text, ...actions) {
    document.title = `${title} - API keys`;
    return el(
        "div",
        { class: "page-head" },
        el("div", {}, el("h1", { tabindex: "-1" }, title), text && el("p", { class: "quiet mb-0" }, text)),
        el("div", { class: "actions" }, actions),
    );
}
