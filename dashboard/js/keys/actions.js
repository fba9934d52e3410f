// actions - what can be done with a key, by its state and by what the caller holds
import { holds } from "../session.js";
import { showSecret } from "./secret.js";

export async function generate(changed) {
    const { openKeyForm } = await import("./form.js");
    openKeyForm({
        done: (made) => {
            changed();
            showSecret(made, "Your new key");
        },
    });
}

async function edit(key, changed) {
    const { openEditForm } = await import("./form.js");
    openEditForm(key.id, changed);
}

async function extend(key, changed) {
    const { openExtend } = await import("./extend.js");
    openExtend(key, changed);
}

async function rotate(key, changed) {
    const { openRotate } = await import("./rotate.js");
    openRotate(key, (made) => {
        changed();
        showSecret(made, "The new key");
    });
}

async function revoke(key, changed) {
    const { openRevoke } = await import("./revoke.js");
    openRevoke(key, changed);
}

// [label, listener, danger] for each; revoked keys are history.
export function actionsFor(key, changed) {
    if (key.status === "revoked") return [];
    const write = holds("api-keys:write");
    return [
        write && ["Edit", () => edit(key, changed)],
        write && key.expires_at && ["Extend", () => extend(key, changed)],
        write && key.status === "active" && !key.rotated_to && ["Rotate", () => rotate(key, changed)],
        holds("api-keys:delete") && ["Revoke", () => revoke(key, changed), true],
    ].filter(Boolean);
}
