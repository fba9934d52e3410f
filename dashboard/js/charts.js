// charts - bars of requests over time, with a limit drawn in, and the same figures as a table
import { el, fill } from "./dom.js";
import { table } from "./table.js";

const LIBRARY = "/javascript/chart.js/chart.min.js";
const SHOWN_LIMIT = 4; // a limit over so many times the highest bar is told in words only

let library = null;

// The packaged file is no module: it leaves itself at globalThis.
async function loadLibrary() {
    library ??= import(LIBRARY).then(() => globalThis.Chart);
    return library;
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const shortHour = new Intl.DateTimeFormat(undefined, { hour: "numeric" });
const shortDay = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const fullHour = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const fullDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const utcDay = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", timeZone: "UTC" });

// Days are UTC's, as the figures are; hours are told in the reader's zone.
export function labelOf(start, byDay, long = false) {
    const at = new Date(start);
    if (byDay) return long ? `${fullDay.format(at)} (UTC)` : utcDay.format(at);
    return long ? fullHour.format(at) : at.getHours() === 0 ? shortDay.format(at) : shortHour.format(at);
}

export function refusedOf(bucket) {
    return Object.entries(bucket.decisions).reduce(
        (sum, [name, count]) => (name === "ok" ? sum : sum + count),
        0,
    );
}

function settings(data, byDay, limit) {
    const bars = (label, values, name) => ({
        type: "bar",
        label,
        data: values,
        backgroundColor: color(name),
        borderRadius: 3,
        stack: "requests",
        order: 2,
    });
    const datasets = [
        bars(
            "Admitted",
            data.map((one) => one.requests),
            "--ak-admitted",
        ),
        bars("Refused", data.map(refusedOf), "--ak-refused"),
    ];
    if (limit) {
        datasets.push({
            type: "line",
            label: limit.label,
            data: data.map(() => limit.value),
            borderColor: color("--ak-limit"),
            borderWidth: 2,
            borderDash: [6, 4],
            pointRadius: 0,
            pointHitRadius: 0,
            order: 1,
        });
    }
    const axis = { grid: { color: color("--ak-grid") }, ticks: { color: color("--ak-quiet") } };
    return {
        data: { labels: data.map((one) => labelOf(one.start, byDay)), datasets },
        options: {
            animation: false,
            responsive: true,
            maintainAspectRatio: false,
            interaction: { mode: "index", intersect: false },
            scales: {
                x: {
                    ...axis,
                    stacked: true,
                    grid: { display: false },
                    ticks: { ...axis.ticks, maxRotation: 0, autoSkipPadding: 12 },
                },
                y: { ...axis, beginAtZero: true, suggestedMax: 5, ticks: { ...axis.ticks, precision: 0 } },
            },
            plugins: {
                legend: {
                    position: "bottom",
                    align: "start",
                    labels: { color: color("--ak-text"), boxWidth: 12, boxHeight: 12 },
                },
                tooltip: { callbacks: { title: ([item]) => labelOf(data[item.dataIndex].start, byDay, true) } },
            },
        },
    };
}

function figures(data, byDay) {
    const rows = data
        .filter((one) => one.requests > 0 || refusedOf(one) > 0)
        .reverse()
        .map((one) => [
            el("time", { datetime: one.start }, labelOf(one.start, byDay, true)),
            one.requests.toLocaleString(),
            refusedOf(one).toLocaleString(),
        ]);
    return el(
        "details",
        { class: "figures" },
        el("summary", {}, "The figures as a table"),
        rows.length === 0
            ? el("p", { class: "quiet" }, "No requests in this time.")
            : table(
                  "Requests",
                  [{ label: byDay ? "Day" : "Hour from" }, { label: "Admitted" }, { label: "Refused" }],
                  rows,
              ),
    );
}

// data: buckets of GET usage; limit: {value, label} or null.  The chart leaves with signal.
export async function showChart(box, { data, byDay, limit, signal }) {
    const highest = Math.max(...data.map((one) => one.requests + refusedOf(one)), 1);
    const drawn = limit && limit.value <= highest * SHOWN_LIMIT ? limit : null;
    const total = data.reduce((sum, one) => sum + one.requests, 0).toLocaleString();
    const refused = data.reduce((sum, one) => sum + refusedOf(one), 0).toLocaleString();
    const canvas = el("canvas", {
        role: "img",
        "aria-label": `Requests by ${byDay ? "day" : "hour"}: ${total} admitted, ${refused} refused. A table follows.`,
    });
    fill(
        box,
        el("div", { class: "chart" }, canvas),
        limit && !drawn && el("p", { class: "hint" }, `${limit.label}: far above these bars.`),
        figures(data, byDay),
    );
    const Chart = await loadLibrary();
    if (signal.aborted || !canvas.isConnected) return;
    let chart = new Chart(canvas, settings(data, byDay, drawn));
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => {
        chart.destroy();
        chart = new Chart(canvas, settings(data, byDay, drawn));
    };
    dark.addEventListener("change", redraw, { signal });
    signal.addEventListener("abort", () => chart.destroy(), { once: true });
}
