// dom - make elements.  Whatever comes from a server or a person goes in as text: there
// is no way here to make markup of it.

// el("a", {class: "x", href: "#/", on: {click: f}, data: {id: 1}}, "text", child, [more])
export function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name === "on") {
            for (const [type, listener] of Object.entries(value)) node.addEventListener(type, listener);
        } else if (name === "data") {
            Object.assign(node.dataset, value);
        } else if (name === "value") {
            node.value = value;
        } else if (value === true) {
            node.setAttribute(name, "");
        } else if (value !== false && value !== null && value !== undefined) {
            node.setAttribute(name, value);
        }
    }
    node.append(...flat(children));
    return node;
}

function flat(children) {
    return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

export function fill(node, ...children) {
    node.replaceChildren(...flat(children));
    return node;
}

// Drawn, not read: its neighbour or its label says the same.
const PATHS = {
    copy: "M8 8h10v12H8zM6 16H4V4h10v2",
    key: "M8.5 12.5a4 4 0 1 0 0 5.6 4 4 0 0 0 0-5.6zm0 0L19 4m-3.5 3 3 3",
    bell: "M6 17h12l-1.5-2.5V10a4.5 4.5 0 0 0-9 0v4.5zM10.5 20h3",
    chart: "M4 20h16M7 16v-4m5 4V6m5 10v-7",
    list: "M5 6h14M5 12h14M5 18h9",
    people: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm-6 8a6 6 0 0 1 12 0m1-8a3 3 0 0 0 0-6m2 8.5a6 6 0 0 1 3 5.5",
    more: "M6 12h.01M12 12h.01M18 12h.01",
    plus: "M12 5v14M5 12h14",
    warn: "M12 4 2.8 20h18.4zM12 10v4m0 3v.01",
    check: "m5 13 4.5 4.5L19 7",
    menu: "M4 7h16M4 12h16M4 17h16",
    close: "M6 6l12 12M18 6 6 18",
};

export function icon(name) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    const path = document.createElementNS(space, "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", PATHS[name]);
    svg.append(path);
    return svg;
}

let count = 0;

export function freshId(prefix) {
    count += 1;
    return `${prefix}-${count}`;
}

export function button(label, listener, attributes = {}) {
    return el(
        "button",
        { type: "button", class: "btn btn-outline-secondary", ...attributes, on: { click: listener } },
        label,
    );
}
