// The words of the page, one file a language.

export const LANGUAGES = { en: "English", zh: "中文", ja: "日本語" };
let words = {};

export async function loadTexts(language) {
  const answer = await fetch(`pages/texts.${language}.json`);
  words = await answer.json();
  document.documentElement.lang = language;
}

/** The text of a key, with {names} filled in. */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
