"use strict";
// Without JavaScript there is no button, so it is made here. It stands beside the command, not inside it:
// otherwise its text would be selected and copied with the command.
const buttons = [];
const announcement = document.createElement("p");
announcement.setAttribute("role", "status");
announcement.className = "unseen";
document.body.append(announcement);

async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {  // a page from file:// may have no clipboard, or no permission to write to it
    getSelection().selectAllChildren(code);
    const copied = document.execCommand("copy");
    if (copied) getSelection().removeAllRanges();  // otherwise it stays selected for the reader's own Ctrl+C
    return copied;
  }
}

for (const code of document.querySelectorAll("code.command")) {
  const box = document.createElement("div"), button = document.createElement("button");
  box.className = "copyable";
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${code.textContent}`);
  button.addEventListener("click", async () => {
    const copied = await copy(code);
    for (const other of buttons) other.textContent = "Copy";
    button.textContent = copied ? "Copied" : "Press Ctrl+C";
    announcement.textContent = copied ? `Copied: ${code.textContent}` : "The command is selected: press Ctrl+C";
  });
  buttons.push(button);
  code.replaceWith(box);
  box.append(code, button);
}
