// Brings the page to life from the data that lie in it; without them it stays the readable page that it is.

async function unpacked(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function start() {
  const data = await unpacked(document.getElementById("data").textContent);
  document.documentElement.classList.add("is-live"); // shows what needs a script, so that the plot knows its width
  const records = new Records(data.records, data.sources);
  for (const box of document.querySelectorAll(".data-table")) {
    new DataTable(box, records, data.tables[box.dataset.table]);
  }
  if (data.plot) new Plot(data.plot, records);
  document.documentElement.classList.add("is-ready");
}

start();
