// source - the keys that a filter asks for, page by page, in an order
//
// The server lists newest first and filters; it is asked for one page at a time.  For any
// other order all keys that fit are read once (10,000 take about a second) and kept while
// the filter stands.
import { Paged, readAll } from "../paged.js";

export const ORDERS = {
    newest: "Newest first",
    oldest: "Oldest first",
    name: "Name, A to Z",
    "name-down": "Name, Z to A",
    used: "Last used first",
    "used-down": "Longest unused first",
    expires: "Expires first",
    "expires-down": "Expires last",
};

const names = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });
// RFC 3339 in UTC with whole seconds sorts as text; none is earlier than any.
const times = (a, b) => (a < b ? -1 : Number(a > b));

const COMPARE = {
    oldest: (a, b) => times(a.created_at, b.created_at),
    name: (a, b) => names.compare(a.name, b.name),
    "name-down": (a, b) => names.compare(b.name, a.name),
    used: (a, b) => times(b.last_used ?? "", a.last_used ?? ""),
    "used-down": (a, b) => times(a.last_used ?? "", b.last_used ?? ""),
    expires: (a, b) => times(a.expires_at ?? "9", b.expires_at ?? "9"),
    "expires-down": (a, b) => times(b.expires_at ?? "9", a.expires_at ?? "9"),
};

export class KeySource {
    constructor(filter, order, size) {
        this.filter = filter;
        this.order = order;
        this.size = size;
        this.paged = new Paged("api-keys", filter, { size });
        this.all = null;
    }

    // {rows, hasMore, number, total}; total is null where it is not known
    async page(number, signal, told) {
        if (this.order === "newest") return { ...(await this.paged.page(number, signal)), total: null };
        this.all ??= (await readAll("api-keys", this.filter, told, signal)).sort(COMPARE[this.order]);
        const last = Math.max(1, Math.ceil(this.all.length / this.size));
        const at = Math.min(number, last);
        return {
            rows: this.all.slice((at - 1) * this.size, at * this.size),
            hasMore: at < last,
            number: at,
            total: this.all.length,
        };
    }
}
