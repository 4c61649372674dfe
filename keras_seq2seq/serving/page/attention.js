// Where a model looked, for the page of a server and for that of an export.

// A space would not be seen.
export function visible(token) {
  return token.replace(/\s/gu, "␣") || "∅";
}

// One row a target token, one column a source token, more colour for more weight. Of sound and
// frames most columns have no name.
export function attentionTable({ source, target, weights, isUnknown = [] }) {
  const table = document.createElement("table");
  table.createCaption().textContent =
    "Attention of the first: source above, target at the left, more colour for more";
  const isNarrow = source.every((token) => token.length < 4);
  const head = table.createTHead().insertRow();
  head.insertCell();
  source.forEach((token, column) => {
    const name = document.createElement("span");
    name.textContent = token && visible(token);
    if (isNarrow) name.className = "short";
    if (isUnknown[column]) name.classList.add("unknown");
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.append(name);
    head.append(cell);
  });
  const body = table.createTBody();
  weights.forEach((row, index) => {
    const line = body.insertRow();
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = visible(target[index]);
    // What a reader of the screen has in the place of colours.
    const most = row.indexOf(Math.max(...row));
    name.ariaLabel =
      `${visible(target[index])}: most at ${source[most] || `position ${most}`}, ${row[most].toFixed(2)}`;
    line.append(name);
    for (const weight of row) {
      const cell = line.insertCell();
      // A style attribute is forbidden to these pages; their script may set the property.
      cell.style.backgroundImage =
        `linear-gradient(rgb(50 125 215 / ${weight}), rgb(50 125 215 / ${weight}))`;
      cell.title = weight.toFixed(3);
    }
  });
  return table;
}
