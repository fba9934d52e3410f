// view - the small marks of a key: its environment, its status, its permissions
import { el } from "../dom.js";
import { badge } from "../table.js";

const STATUS_KIND = { active: "good", expired: "warn", revoked: "bad" };

export function environmentBadge(key) {
    return badge(key.environment === "live" ? "Live" : "Test", key.environment);
}

export function statusBadge(key) {
    if (key.status === "active" && key.rotated_to) return badge("Rotated", "warn");
    return badge(
        { active: "Active", expired: "Expired", revoked: "Revoked" }[key.status] ?? key.status,
        STATUS_KIND[key.status],
    );
}

export function permissionTags(permissions, most = 2) {
    const shown = permissions.slice(0, permissions.length > most + 1 ? most : most + 1);
    const rest = permissions.slice(shown.length);
    return el(
        "span",
        { class: "tags" },
        shown.map((name) => badge(name, name === "admin:*" ? "bad" : "plain")),
        rest.length > 0
            && el("span", { class: "quiet small", title: rest.join(", ") }, `and ${rest.length} more`),
    );
}
