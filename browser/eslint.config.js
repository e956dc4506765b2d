// Lints of the page script.

import js from "@eslint/js";

export default [
  js.configs.recommended,
  {
    files: ["**/*.js"],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: {
      ecmaVersion: 2025,
      sourceType: "module",
      globals: Object.fromEntries(["AbortSignal", "CSS", "CustomEvent", "Element", "HTMLFormElement", "MutationObserver", "ReadableStream", "Request",
        "URL", "URLSearchParams", "addEventListener", "clearInterval", "console", "document", "encodeURIComponent", "fetch", "location",
        "removeEventListener", "setInterval", "setTimeout"].map((name) => [name, "readonly"])),
    },
    rules: { "curly": "error", "eqeqeq": "error", "no-var": "error", "prefer-const": "error" },
  },
];
