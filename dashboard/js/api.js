// api - calls of the management endpoints, and what went wrong with them, in words
//
// The endpoints stand at v1/ beside the folder of this page: the same page serves where
// httpd authenticates (say, at /console/dashboard/ with /console/v1/).
import { forget, session } from "./session.js";

const BASE = new URL("../v1/", document.baseURI);
const PATIENCE_MS = 30000;

export class ApiError extends Error {
    constructor(message, facts = {}) {
        super(message);
        this.status = facts.status ?? 0; // 0: no answer came
        this.code = facts.code ?? "";
        this.errors = facts.errors ?? []; // of fields: {field, message}
        this.problem = facts.problem ?? {};
    }
}

let whenSignedOut = () => {};

export function onSignedOut(listener) {
    whenSignedOut = listener;
}

function headersFor(options) {
    const headers = new Headers({ Accept: "application/json", ...options.headers });
    if (session.key) headers.set("Authorization", `Bearer ${session.key}`);
    if (options.body !== undefined) headers.set("Content-Type", "application/json");
    return headers;
}

function address(path, query = {}) {
    const url = new URL(path, BASE);
    for (const [name, value] of Object.entries(query)) {
        if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
    }
    return url;
}

async function send(method, path, options) {
    const limit = AbortSignal.timeout(PATIENCE_MS);
    const stop = new AbortController();
    const abort = () => stop.abort();
    limit.addEventListener("abort", abort);
    options.signal?.addEventListener("abort", abort);
    if (options.signal?.aborted) abort();
    try {
        const answer = await fetch(address(path, options.query), {
            method,
            headers: headersFor(options),
            body: options.body === undefined ? undefined : JSON.stringify(options.body),
            // A key is presented on purpose; nothing that the browser adds by itself goes with it.
            credentials: session.byServer ? "same-origin" : "omit",
            redirect: "manual",
            cache: "no-store",
            signal: stop.signal,
        });
        return { answer, text: answer.type === "opaqueredirect" ? "" : await answer.text() };
    } catch (error) {
        if (options.signal?.aborted) throw new DOMException("The page was left.", "AbortError");
        throw new ApiError(
            limit.aborted
                ? "The server did not answer within 30 seconds. Try again in a moment."
                : "The server cannot be reached. Check your connection, then try again.",
        );
    } finally {
        limit.removeEventListener("abort", abort);
        options.signal?.removeEventListener("abort", abort);
    }
}

function parse(text) {
    try {
        return JSON.parse(text);
    } catch {
        return null;
    }
}

function advice(answer, message) {
    const wait = Number(answer.headers.get("Retry-After"));
    const seconds = `Try again in ${wait} second${wait === 1 ? "" : "s"}.`;
    if (answer.status === 412)
        return "Someone else changed this meanwhile. Load it again, then repeat your change.";
    if (wait > 0 && (answer.status === 429 || answer.status === 503)) return `${message} ${seconds}`;
    return message;
}

function failure(answer, text) {
    const problem = parse(text) ?? {};
    const message =
        typeof problem.message === "string"
            ? problem.message
            : `The server answered ${answer.status} without saying why. Try again in a moment.`;
    return new ApiError(advice(answer, message), {
        status: answer.status,
        code: problem.code,
        errors: Array.isArray(problem.errors) ? problem.errors : [],
        problem,
    });
}

// options: query, body, headers, signal.  Returns {data, etag}; throws ApiError, or AbortError
// where options.signal ended it.
export async function call(method, path, options = {}) {
    const { answer, text } = await send(method, path, options);
    if (answer.ok) {
        const data = text ? parse(text) : null;
        if (text && data === null) {
            throw new ApiError("The server's answer cannot be read. Try again, or tell its administrator.");
        }
        return { data, etag: answer.headers.get("ETag") };
    }
    const lost = answer.status === 401 || answer.type === "opaqueredirect";
    const error =
        answer.type === "opaqueredirect"
            ? new ApiError("Your session with this server is over. Reload the page to sign in again.", {
                  status: 401,
              })
            : failure(answer, text);
    if (lost && !options.signingIn) {
        forget();
        whenSignedOut(error.message);
    }
    throw error;
}

export async function get(path, query, signal) {
    return (await call("GET", path, { query, signal })).data;
}

// The answer of GET permissions tells what can be granted and what the caller holds.
export async function readPermissions() {
    session.permissions = (await call("GET", "permissions", { signingIn: true })).data.data;
}

// The caller's own account, for its plan and limits; null where that cannot be known: an
// administrator is confined to none.
export async function ownAccount(signal) {
    if (session.account) return session.account;
    const usage = await get("usage", { granularity: "day" }, signal);
    if (usage.account_id) session.account = await get(`accounts/${usage.account_id}`, {}, signal);
    return session.account;
}
