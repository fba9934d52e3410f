// signin - the page that asks for a key
import { ApiError, readPermissions } from "./api.js";
import { el, fill } from "./dom.js";
import { field, fieldError, sendForm, textInput } from "./field.js";
import { forget, keep } from "./session.js";

// Blanks and line breaks come along when a key is copied; no key has any.
function cleaned(text) {
    return text.replace(/\s+/g, "");
}

async function trySignIn(input, signedIn) {
    const key = cleaned(input.value);
    if (!key) throw fieldError("key", "Paste an API key.");
    if (/[^\x21-\x7e]/.test(key))
        throw fieldError("key", "This is not an API key: it has characters that no key has.");
    keep(key);
    try {
        await readPermissions();
    } catch (error) {
        forget();
        if (error instanceof ApiError && error.status === 401) throw fieldError("key", error.message);
        throw error;
    }
    input.value = "";
    signedIn();
}

export function showSignIn(reason, signedIn) {
    const input = textInput({ type: "password", name: "key", autocomplete: "off", placeholder: "sk_live_…" });
    const form = sendForm({
        fields: [
            field({
                name: "key",
                label: "API key",
                input,
                hint:
                    "It needs the permission api-keys:read. It stays in this browser tab and is forgotten when you "
                    + "sign out or close the tab.",
            }),
        ],
        submit: "Sign in",
        send: () => trySignIn(input, signedIn),
    });
    document.title = "Sign in - API keys";
    fill(
        document.getElementById("frame"),
        el(
            "main",
            { id: "main", class: "sign-in", tabindex: "-1" },
            el(
                "div",
                { class: "panel" },
                el("img", { src: "icon.svg", alt: "", width: 44, height: 44 }),
                el("h1", {}, "Sign in"),
                el("p", { class: "quiet" }, "Manage your API keys, and see what they do."),
                reason && el("p", { class: "trouble", role: "alert" }, reason),
                form,
            ),
        ),
    );
    input.focus();
}

// Where httpd itself signs people in, a page that is not signed in can only be loaded again.
export function showSignedOutByServer(reason) {
    fill(
        document.getElementById("frame"),
        el(
            "main",
            { id: "main", class: "sign-in", tabindex: "-1" },
            el(
                "div",
                { class: "panel" },
                el("h1", {}, "Signed out"),
                el("p", { role: "alert" }, reason),
                el(
                    "button",
                    { type: "button", class: "btn btn-primary", on: { click: () => location.reload() } },
                    "Reload the page",
                ),
            ),
        ),
    );
}
