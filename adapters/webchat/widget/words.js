// Every word a visitor reads or hears. A page replaces any of them: FairwayChat.init({ words: { send: "Enviar" } }).

export const WORDS = {
  title: "Chat with us",
  subtitle: "We usually answer within minutes",
  open: "Open chat",
  close: "Close chat",
  unread: "{n} unread",
  placeholder: "Write a message",
  label: "Your message",
  send: "Send",
  attach: "Attach a file",
  you: "You",
  us: "Support",
  conversation: "Conversation",
  earlier: "Show earlier messages",
  greeting: "Hello! How can we help?",
  typing: "{name} is typing",
  sending: "Sending",
  sent: "Sent",
  seen: "Seen",
  edited: "Edited",
  failed: "Not delivered.",
  retry: "Try again",
  remove: "Remove",
  offline: "You are offline. Messages are sent as soon as you are back.",
  connecting: "Connecting",
  back: "You are back online.",
  refused: "This chat cannot be used on this page.",
  expired: "Please sign in again to go on.",
  tooLarge: "This file is too large. The most is {max}.",
  uploading: "Uploading {name}: {percent} %",
  uploadFailed: "The file could not be sent.",
  file: "File",
  image: "Picture",
  picked: "You picked: {title}",
  copied: "Copied",
  location: "Your location",
  noLocation: "Your location cannot be read.",
  next: "Next",
  previous: "Previous",
  submit: "Submit",
  submitted: "Thank you. This was sent.",
  required: "Please fill in this field.",
  rate: "{n} of 5",
  options: "Options",
  unsupported: "This message cannot be shown here.",
  drop: "Drop files to send them",
};

export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

const RTL = ["ar", "fa", "he", "ur", "yi", "ps", "sd", "ug", "dv", "ckb"];

export const direction = (locale) => (RTL.includes((locale || "").split("-")[0].toLowerCase()) ? "rtl" : "ltr");

export const bytes = (size) => {
  const units = ["B", "KB", "MB", "GB"];
  let at = 0;
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024;
    at += 1;
  }
  return `${size >= 10 || at === 0 ? Math.round(size) : size.toFixed(1)} ${units[at]}`;
};
