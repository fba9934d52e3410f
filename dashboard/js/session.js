// session - who is signed in, and by what
//
// By a key: it is held in memory and in this tab's sessionStorage, so that a reload does
// not ask again; never in localStorage, a cookie or an address.  By the server: httpd has
// authenticated the user before it gave out this page, and the browser says so by itself.

const SLOT = "apikey.session";

export const session = {
    byServer: false,
    key: null,
    permissions: [], // what can be granted: {name, description, held}
    account: null, // the caller's own, once it is known
};

export async function readSettings() {
    const answer = await fetch("settings.json", { cache: "no-cache" });
    if (!answer.ok) throw new TypeError(`settings.json: ${answer.status}`);
    const settings = await answer.json();
    session.byServer = settings.sign_in === "server";
    session.key = session.byServer ? null : sessionStorage.getItem(SLOT);
}

export function keep(key) {
    session.key = key;
    sessionStorage.setItem(SLOT, key);
}

export function forget() {
    session.key = null;
    session.permissions = [];
    session.account = null;
    sessionStorage.removeItem(SLOT);
}

export function isSignedIn() {
    return session.permissions.length > 0;
}

export function holds(permission) {
    return session.permissions.some((one) => one.held && (one.name === permission || one.name === "admin:*"));
}

export function isAdmin() {
    return session.permissions.some((one) => one.held && one.name === "admin:*");
}

// What people may see of a key: the prefix and three characters.
export function shownKey() {
    const match = /^([a-z0-9]+_(?:live|test)_...)/.exec(session.key ?? "");
    return match ? `${match[1]}...` : "an imported key";
}
