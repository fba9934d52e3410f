// main - start: sign in, then show the page that the address names
import { onSignedOut, readPermissions } from "./api.js";
import { closeAll } from "./dialog.js";
import { el, fill } from "./dom.js";
import { forgetDrafts } from "./draft.js";
import { markPlace, showFrame } from "./frame.js";
import { errorBox, isAbort, loading } from "./notice.js";
import { isPage, parse } from "./router.js";
import { forget, isSignedIn, readSettings, session } from "./session.js";
import { showSignedOutByServer, showSignIn } from "./signin.js";

// Each page is a module with show(main, {id, query, signal}), fetched when it is first needed.
const PAGES = {
    keys: () => import("./keys/list.js"),
    key: () => import("./keys/details.js"),
    alerts: () => import("./alerts.js"),
    usage: () => import("./usage.js"),
    audit: () => import("./audit.js"),
    accounts: () => import("./accounts.js"),
};

let main = null;
let shown = null; // ends what the page that is shown still asks for

function pageOf({ parts }) {
    const [first = "keys", id] = parts;
    if (first === "keys" && id) return { name: "key", place: "keys", id };
    return { name: Object.hasOwn(PAGES, first) ? first : "keys", place: first };
}

async function showPage(focus) {
    const address = parse(location.hash);
    const page = pageOf(address);
    shown?.abort();
    shown = new AbortController();
    const { signal } = shown;
    markPlace(page.place);
    fill(main, loading("the page"));
    window.scrollTo(0, 0);
    try {
        const module = await PAGES[page.name]();
        if (signal.aborted) return;
        await module.show(main, { id: page.id, query: address.query, signal });
        if (focus && !signal.aborted) main.querySelector("h1")?.focus();
    } catch (error) {
        if (!isAbort(error) && !signal.aborted)
            fill(
                main,
                errorBox(error, () => showPage(false)),
            );
    }
}

// The heading takes the focus where a form stood that had it.
function signedIn(focus) {
    main = showFrame(signOut);
    showPage(focus);
}

function leave(reason) {
    shown?.abort();
    main = null;
    closeAll();
    if (session.byServer) showSignedOutByServer(reason);
    else showSignIn(reason, () => signedIn(true));
}

function signOut() {
    forget();
    forgetDrafts();
    leave("");
}

async function start() {
    const frame = document.getElementById("frame");
    try {
        await readSettings();
        if (session.byServer || session.key) await readPermissions();
    } catch (error) {
        if (session.key && error.status === 401) {
            forget();
            leave(error.message);
        } else {
            fill(
                frame,
                el("main", { class: "sign-in" }, el("div", { class: "panel" }, errorBox(error, start))),
            );
        }
        return;
    }
    if (isSignedIn()) signedIn(false);
    else showSignIn("", () => signedIn(true));
}

onSignedOut(leave);
window.addEventListener("hashchange", () => main && isPage(location.hash) && showPage(true));
document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main")?.focus();
});
start();
