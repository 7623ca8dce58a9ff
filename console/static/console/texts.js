// Texts of scripts in the language of the page. A page in another language than English loads its file in `languages/`
// before all other modules; the file calls `learn`.

const known = new Map();

export function learn(texts) {
  for (const [english, translated] of Object.entries(texts)) known.set(english, translated);
}

// Returns a text in the language of the page: `say("{name} is uploaded.", { name })`.
export const say = (english, values = {}) =>
  (known.get(english) ?? english).replace(/\{(\w+)\}/g, (whole, name) => name in values ? String(values[name]) : whole);
