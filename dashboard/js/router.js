// router - the address behind "#" names the page and what it shows: #/keys?status=active
//
// Addresses hold ids and filters, never a secret.

export function parse(hash) {
    const [path, query = ""] = hash.replace(/^#/, "").split("?", 2);
    return { parts: path.split("/").filter(Boolean).map(decodePart), query: new URLSearchParams(query) };
}

function decodePart(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

export function link(path, query = {}) {
    const search = new URLSearchParams(
        Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== ""),
    );
    return `#/${path}${search.size ? `?${search}` : ""}`;
}

// Another filter of the same page: no new entry in the history, no new start of the page.
export function replaceQuery(path, query) {
    history.replaceState(null, "", link(path, query));
}

export function go(path, query) {
    location.hash = link(path, query);
}

// Only addresses of the form "#/…" are pages: "#main" is where the skip link leads.
export function isPage(hash) {
    return hash === "" || hash === "#" || hash.startsWith("#/");
}
