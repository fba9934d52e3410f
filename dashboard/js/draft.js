// draft - what was typed into a form and not sent: kept for this tab, so that a reload, a lost
// network or the end of a session costs nobody their words
//
// Forms hold no secrets.  A draft goes when its form was sent or given up, or at signing out.

const PREFIX = "apikey.draft.";

export function saveDraft(name, values) {
    sessionStorage.setItem(PREFIX + name, JSON.stringify(values));
}

export function readDraft(name) {
    try {
        return JSON.parse(sessionStorage.getItem(PREFIX + name));
    } catch {
        return null;
    }
}

export function dropDraft(name) {
    sessionStorage.removeItem(PREFIX + name);
}

export function forgetDrafts() {
    for (const name of Object.keys(sessionStorage)) {
        if (name.startsWith(PREFIX)) sessionStorage.removeItem(name);
    }
}
