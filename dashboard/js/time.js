// time - instants of the endpoints (RFC 3339, UTC) in the reader's zone, with UTC behind them
import { el } from "./dom.js";

const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const long = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

const STEPS = [
    ["year", 31557600],
    ["month", 2629800],
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
];

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

export function utcText(text) {
    return `${text.replace("T", " ").replace("Z", "")} UTC`;
}

export function ago(text, now = Date.now()) {
    const seconds = (Date.parse(text) - now) / 1000;
    for (const [unit, length] of STEPS) {
        if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
    }
    return seconds > 0 ? "in less than a minute" : "just now";
}

// A text that is no time is shown as it stands.
function time(text, show) {
    if (typeof text !== "string" || Number.isNaN(Date.parse(text))) return el("span", {}, String(text));
    const shown = show(new Date(text));
    return el("time", { datetime: text, title: `${long.format(new Date(text))}\n${utcText(text)}` }, shown);
}

export function when(text, none = "Never") {
    return text ? time(text, (at) => full.format(at)) : el("span", { class: "quiet" }, none);
}

export function whenAgo(text, none = "Never") {
    return text ? time(text, () => ago(text)) : el("span", { class: "quiet" }, none);
}

export function whenDay(text, none = "Never") {
    return text ? time(text, (at) => day.format(at)) : el("span", { class: "quiet" }, none);
}

// Both, for where there is room: the reader's time, how long ago, and UTC.
export function whenFull(text, none = "Never") {
    if (!text) return el("span", { class: "quiet" }, none);
    return el(
        "span",
        {},
        time(text, (at) => full.format(at)),
        el("span", { class: "quiet small d-block" }, `${ago(text)} · ${utcText(text)}`),
    );
}

// The value of an <input type=datetime-local> is in the reader's zone.
export function toLocalInput(text) {
    const at = new Date(text);
    const pad = (number) => String(number).padStart(2, "0");
    return (
        `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`
        + `T${pad(at.getHours())}:${pad(at.getMinutes())}`
    );
}

export function fromLocalInput(value) {
    const at = new Date(value);
    return Number.isNaN(at.getTime()) ? null : `${at.toISOString().slice(0, 19)}Z`;
}

export function inDays(days) {
    return `${new Date(Date.now() + days * 86400000).toISOString().slice(0, 19)}Z`;
}
