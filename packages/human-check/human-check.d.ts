/** Protects forms and requests of a page by the challenge that the server selects. */
export declare const humanCheck: HumanCheck;

export interface HumanCheck {
  /**
   * Sends a request as `fetch` does. If the server demands a challenge, shows it in the page's place for
   * the route or in a dialog, and sends the request again, at most three times.
   *
   * The response is that of the last request. It is a refusal if the visitor left the dialog or the
   * challenge cannot be shown. The promise rejects as that of `fetch` does, and with a
   * {@link HumanCheckError}.
   */
  fetch(input: string | URL | Request, init?: HumanCheckInit): Promise<Response>;

  /** Lets the scripts of providers load, on a page with `data-consent="wait"` or `consent: "wait"`. */
  allow(): void;

  /** Sets options and texts. Call it before the first place is in the page. */
  configure(settings: Settings): void;

  /**
   * Ends the token of a form, an element or a route, after the page has sent it by its own means. The
   * next challenge appears when the visitor comes back to the form.
   */
  reset(where: Element | string): void;

  HumanCheckError: typeof HumanCheckError;
}

export interface HumanCheckInit extends RequestInit {
  /**
   * The form, the place or the name of the route whose token is sent with the first request. Without it,
   * the first request has no token.
   */
  humanCheck?: Element | string;
}

/** An error of {@link HumanCheck.fetch} before the request was sent. */
export declare class HumanCheckError extends Error {
  constructor(code: HumanCheckError["code"], message: string);
  /**
   * - `busy`: the page is sending a request of the same method and URL.
   * - `origin`: the URL is neither of the page's origin nor of that of the options endpoint.
   * - `stream`: the body is a stream, which cannot be sent again.
   */
  code: "busy" | "origin" | "stream";
}

export interface Settings {
  /** The URL of the options endpoint. Default `/human-check/options`, or `options` beside the script. */
  options?: string;
  /** Further origins of scripts and frames, separated by spaces. Default none. */
  origins?: string;
  /** The nonce of the content security policy. Default that of the script's own tag. */
  nonce?: string;
  /** `wait`: no script of a provider loads before {@link HumanCheck.allow}. */
  consent?: "wait";
  /** Texts in place of the English ones. The server sends them for other languages. */
  texts?: Partial<Texts>;
}

export interface Texts {
  title: string;
  loading: string;
  consent: string;
  solve: string;
  done: string;
  failed: string;
  retry: string;
  cancel: string;
}

/** The detail of the event `human-check`, which a place dispatches and which bubbles. It has no token. */
export interface StateDetail {
  /**
   * - `loading`: a provider's script is being loaded.
   * - `consent`: the page waits for {@link HumanCheck.allow}.
   * - `shown`: the challenge is in the page.
   * - `solved`: there is a token.
   * - `failed`: the challenge cannot be shown.
   * - `refused`: the server refused a form that a script sent, and no challenge helps.
   * - `idle`: the token was accepted.
   */
  state: "loading" | "consent" | "shown" | "solved" | "failed" | "refused" | "idle";
  route: string | undefined;
  account: string | undefined;
  provider: string | undefined;
  why: "primary" | "fallback" | "step-up" | "arm" | "widget-failure" | undefined;
}

/** An account to show, as the options endpoint and refusals describe it. */
export interface Option {
  account: string;
  provider: string;
  /** The form field of the token. */
  field: string;
  /** The header of the token. */
  header: string;
  sitekey: string;
  action: string | null;
  why: StateDetail["why"];
  /** Belongs to the token. */
  offer: string;
  /** What the page script needs to show it. `null` if pages write the widget themselves. */
  widget: Widget | null;
}

export interface Widget {
  api: "captchala" | "element" | "execute" | "frame" | "render";
  /** The provider's object, for `execute` and `render`. */
  global?: string;
  /** The function that starts an element which was added later. */
  attach?: string;
  script: string;
  module?: boolean;
  stylesheet?: string;
  element: string;
  attributes: Record<string, string>;
}

/** A widget that is shown. */
export interface Shown {
  reset?(): void;
  remove?(): void;
  execute?(): Promise<string>;
}

declare global {
  var humanCheck: HumanCheck;

  interface HTMLElementEventMap {
    "human-check": CustomEvent<StateDetail>;
  }
}
