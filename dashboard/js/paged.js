// paged - a list that the server gives out in pages, each with a cursor to the next
import { get } from "./api.js";

// cursor: the name of the parameter that continues the list ("after", "before")
export class Paged {
    constructor(path, query, { size = 25, cursor = "after" } = {}) {
        this.path = path;
        this.query = query;
        this.size = size;
        this.cursor = cursor;
        this.starts = [null]; // cursor of each page that is known, by number - 1
    }

    // {rows, hasMore, number}
    async page(number, signal) {
        const at = Math.min(number, this.starts.length);
        const answer = await get(
            this.path,
            { ...this.query, limit: this.size, [this.cursor]: this.starts[at - 1] },
            signal,
        );
        if (answer.has_more) this.starts[at] = answer.next;
        else this.starts.length = at;
        return { rows: answer.data, hasMore: answer.has_more, number: at };
    }
}

// All of a list, for what the server cannot do with it; told(count) is called as it comes in.
export async function readAll(path, query, told, signal) {
    const rows = [];
    let next = null;
    do {
        const answer = await get(path, { ...query, limit: 100, after: next }, signal);
        rows.push(...answer.data);
        next = answer.has_more ? answer.next : null;
        told(rows.length);
    } while (next);
    return rows;
}
