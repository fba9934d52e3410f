// notice - say what happened: in passing (and to screen readers), or in the place of what failed
import { ApiError } from "./api.js";
import { button, el, fill, icon } from "./dom.js";

const SHOWN_MS = 8000;

export function notify(text, kind = "done") {
    const box = document.getElementById("notices");
    const line = el(
        "div",
        { class: `notice notice-${kind}` },
        icon(kind === "done" ? "check" : "warn"),
        el("span", {}, text),
    );
    box.append(line);
    setTimeout(() => line.remove(), SHOWN_MS);
}

export function isAbort(error) {
    return error?.name === "AbortError";
}

// For people: an error of ours is no sentence of theirs.
export function words(error) {
    if (error instanceof ApiError) return error.message;
    console.error(error);
    return "The page failed at this. Reload it; if that does not help, tell the administrator.";
}

export function errorBox(error, again) {
    return el(
        "div",
        { class: "trouble", role: "alert" },
        icon("warn"),
        el(
            "div",
            {},
            el("p", { class: "mb-0" }, words(error)),
            again && button("Try again", again, { class: "btn btn-sm btn-outline-secondary mt-2" }),
        ),
    );
}

export function emptyBox(title, text, action) {
    return el("div", { class: "empty" }, el("p", { class: "empty-title" }, title), el("p", {}, text), action);
}

export function loading(what) {
    return el(
        "p",
        { class: "loading", role: "status" },
        el("span", { class: "spinner", "aria-hidden": "true" }),
        `Loading ${what}…`,
    );
}

// Fill a box with what a promise brings, then call placed(); what fails is told in the box,
// with a way to repeat it.
export async function loadInto(box, what, produce, placed = () => {}) {
    const again = () => loadInto(box, what, produce, placed);
    fill(box, loading(what));
    try {
        fill(box, await produce());
        await placed();
    } catch (error) {
        if (!isAbort(error)) fill(box, errorBox(error, again));
    }
}
