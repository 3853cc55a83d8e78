// The looks. One constructed sheet: no style attribute, no style element, nothing of the page gets in or out.

export const STYLE = `
:host { all: initial; --accent: #1d4ed8; --on-accent: #fff; --bg: #fff; --fg: #172033; --dim: #5a6478; --line: #dfe4ee; --them: #eef1f7;
  --bad: #b3261e; --radius: 16px; font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--fg);
  color-scheme: light; position: fixed; inset-block-end: 20px; inset-inline-end: 20px; z-index: 2147483000; }
:host([data-side="left"]) { inset-inline: 20px auto; }
:host([data-inline]) { position: static; display: block; height: 100%; min-height: 320px; }
:host([data-mode="dark"]) { --bg: #131927; --fg: #e9edf6; --dim: #a3adc2; --line: #2b3548; --them: #202a3d; --bad: #ff8a80;
  --accent: #7ea6ff; --on-accent: #0b1220; color-scheme: dark; }
@media (prefers-color-scheme: dark) { :host([data-mode="auto"]) { --bg: #131927; --fg: #e9edf6; --dim: #a3adc2; --line: #2b3548;
  --them: #202a3d; --bad: #ff8a80; --accent: #7ea6ff; --on-accent: #0b1220; color-scheme: dark; } }
* { box-sizing: border-box; font: inherit; color: inherit; margin: 0; }
[hidden] { display: none !important; }
button, summary { cursor: pointer; }
button { background: none; border: 0; padding: 0; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.hush { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.launcher { width: 60px; height: 60px; border-radius: 50%; background: var(--accent); color: var(--on-accent); display: grid; place-items: center;
  box-shadow: 0 6px 20px rgb(10 20 50 / 28%); position: relative; margin-inline-start: auto; transition: transform .15s; }
.launcher:hover { transform: scale(1.05); }
.badge { position: absolute; inset-block-start: -4px; inset-inline-end: -4px; min-width: 22px; height: 22px; padding: 0 6px; border-radius: 11px;
  background: var(--bad); color: var(--bg); font-size: 13px; font-weight: 700; display: grid; place-items: center; }
.panel { width: min(390px, calc(100vw - 24px)); height: min(620px, calc(100dvh - 120px)); margin-block-end: 14px; background: var(--bg);
  border: 1px solid var(--line); border-radius: var(--radius); box-shadow: 0 14px 44px rgb(10 20 50 / 24%); display: flex; flex-direction: column;
  overflow: hidden; position: relative; animation: rise .18s ease-out; }
:host([data-inline]) .panel { width: 100%; height: 100%; margin: 0; box-shadow: none; animation: none; }
@keyframes rise { from { opacity: 0; transform: translateY(10px); } }
header { display: flex; align-items: center; gap: 12px; padding: 14px 16px; border-block-end: 1px solid var(--line); }
header h2 { font-size: 16px; font-weight: 650; line-height: 1.25; }
header p { font-size: 13px; color: var(--dim); }
header div { flex: 1; min-width: 0; }
.round { width: 38px; height: 38px; border-radius: 50%; display: grid; place-items: center; color: var(--dim); flex: none; }
.round:hover { background: var(--them); color: var(--fg); }
.log { flex: 1; overflow-y: auto; padding: 16px; display: flex; flex-direction: column; gap: 4px; overscroll-behavior: contain; }
.earlier { align-self: center; color: var(--accent); padding: 6px 12px; font-size: 14px; }
.row { display: flex; flex-direction: column; align-items: flex-start; max-width: 86%; margin-block-start: 6px; }
.row.me { align-self: flex-end; align-items: flex-end; }
.row.wide { max-width: 100%; width: 100%; }
.who { font-size: 12px; color: var(--dim); margin: 4px 4px 2px; }
.bubble { background: var(--them); border-radius: 16px 16px 16px 5px; padding: 9px 13px; overflow-wrap: anywhere; min-width: 0; max-width: 100%; }
.me .bubble { background: var(--accent); color: var(--on-accent); border-radius: 16px 16px 5px 16px; }
.bubble + .bubble { margin-block-start: 3px; }
.text { white-space: pre-wrap; } .text p + p { margin-block-start: 8px; } b, strong { font-weight: 650; } i, em { font-style: italic; }
pre, code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 13px; } pre { overflow-x: auto; white-space: pre; }
blockquote { border-inline-start: 3px solid var(--line); padding-inline-start: 10px; }
.text ul, .text ol { padding-inline-start: 20px; white-space: normal; }
.bubble a { text-decoration: underline; text-underline-offset: 2px; }
.dim, small { color: var(--dim); font-size: 13px; } .me .dim { color: inherit; opacity: .85; }
.picture { display: block; max-width: 100%; max-height: 260px; width: auto; height: auto; border-radius: 10px; }
audio { width: 240px; max-width: 100%; }
.bubble a.file, .file { display: flex; gap: 8px; align-items: center; text-decoration: none; font-weight: 550; }
.file svg { flex: none; }
.state { font-size: 12px; color: var(--dim); margin: 2px 4px 0; display: flex; gap: 8px; }
.state.bad { color: var(--bad); } .state button { text-decoration: underline; }
.options { display: flex; flex-direction: column; gap: 6px; margin-block-start: 8px; }
.option, .bubble a.option { border: 1.5px solid var(--accent); color: var(--accent); background: var(--bg); border-radius: 12px; padding: 8px 14px;
  text-align: center; font-weight: 550; min-height: 40px; text-decoration: none; display: flex; flex-direction: column; justify-content: center; }
.option:hover, .option.picked { background: var(--accent); color: var(--on-accent); } .option:hover small, .option.picked small { color: inherit; }
details > summary { list-style: none; margin-block-start: 8px; }
.section { font-size: 13px; color: var(--dim); margin-block-start: 6px; }
.quick { display: flex; flex-wrap: wrap; gap: 8px; padding: 0 16px 10px; justify-content: flex-end; }
.quick .option { border-radius: 20px; padding: 6px 14px; }
.cards { list-style: none; display: flex; gap: 10px; overflow-x: auto; padding: 4px; scroll-snap-type: x proximity; margin-block-start: 6px; }
.cards li { flex: 0 0 min(220px, 78%); scroll-snap-align: start; }
.card { background: var(--bg); border: 1px solid var(--line); border-radius: 12px; padding: 10px; height: 100%; }
.arrows { display: flex; justify-content: flex-end; }
.form { display: flex; flex-direction: column; gap: 5px; min-width: 210px; } .form label { font-size: 13px; font-weight: 550; margin-block-start: 4px; }
.form input, .form select, .form textarea { border: 1px solid var(--dim); border-radius: 8px; padding: 8px 10px; background: var(--bg); width: 100%; }
.primary { background: var(--accent); color: var(--on-accent); border-radius: 10px; padding: 9px 14px; font-weight: 600; margin-block-start: 8px; }
.stars { display: flex; gap: 4px; } .star { font-size: 28px; line-height: 1; color: var(--dim); padding: 4px; } .star:hover, .star:focus { color: #e0a100; }
.typing { padding: 0 20px 8px; font-size: 13px; color: var(--dim); display: flex; gap: 8px; align-items: center; }
.dots { display: inline-flex; gap: 3px; } .dots i { width: 6px; height: 6px; border-radius: 50%; background: var(--dim); animation: blink 1.2s infinite; }
.dots i:nth-child(2) { animation-delay: .2s; } .dots i:nth-child(3) { animation-delay: .4s; } @keyframes blink { 50% { opacity: .25; } }
.bar { padding: 7px 16px; font-size: 13px; background: var(--them); color: var(--dim); border-block-start: 1px solid var(--line); }
.composer { display: flex; gap: 6px; align-items: flex-end; padding: 10px 10px 10px 8px; border-block-start: 1px solid var(--line); }
.composer textarea { flex: 1; min-width: 0; resize: none; border: 0; background: none; padding: 8px 4px; max-height: 130px; min-height: 38px; outline-offset: 0; border-radius: 8px; }
.composer textarea::placeholder { color: var(--dim); opacity: 1; }
.round.go { background: var(--accent); color: var(--on-accent); } .round.go:disabled { background: var(--them); color: var(--dim); cursor: default; }
.drop { position: absolute; inset: 8px; border: 2px dashed var(--accent); border-radius: 12px; background: color-mix(in srgb, var(--bg) 88%, transparent);
  display: grid; place-items: center; font-weight: 600; pointer-events: none; }
progress { width: 100%; height: 6px; accent-color: var(--accent); }
@media (max-width: 480px) {
  :host(:not([data-inline])) { inset-block-end: 12px; inset-inline: auto 12px; }
  :host(:not([data-inline])[data-open]) { inset: 0; }
  :host(:not([data-inline])) .panel { width: 100vw; height: 100dvh; border: 0; border-radius: 0; margin: 0; }
  :host(:not([data-inline])[data-open]) .launcher { display: none; }
}
@media (prefers-reduced-motion: reduce) { *, .panel { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { .bubble, .option, .launcher, .round { border: 1px solid; } }
`;
