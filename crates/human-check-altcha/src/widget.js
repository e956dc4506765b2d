// Starts ALTCHA's external build with the workers and languages in this file's folder. The external
// build contains neither. All URLs are relative to this file, so that everything is loaded from the
// same origin.
import "./altcha.min.js";

const workers = {
  "PBKDF2/SHA-256": "pbkdf2",
  "PBKDF2/SHA-384": "pbkdf2",
  "PBKDF2/SHA-512": "pbkdf2",
  "SHA-256": "sha",
  "SHA-384": "sha",
  "SHA-512": "sha",
  SCRYPT: "scrypt",
  ARGON2ID: "argon2id",
};

for (const [algorithm, name] of Object.entries(workers)) {
  const url = new URL(`./workers/${name}.js`, import.meta.url);
  globalThis.$altcha.algorithms.set(algorithm, () => new Worker(url));
}

const language = new URL(import.meta.url).searchParams.get("language") ?? "";
if (/^[a-z]{2}(-[a-z]{2})?$/i.test(language)) {
  import(`./i18n/${language.toLowerCase()}.js`).catch(() => {
    console.warn(`human check: the widget has no translation for ${language}`);
  });
}
