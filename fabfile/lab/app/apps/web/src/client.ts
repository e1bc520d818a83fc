const output = document.querySelector("#live");
const scheme = location.protocol === "https:" ? "wss" : "ws";
const socket = new WebSocket(`${scheme}://${location.host}/ws/live`);

let seen = 0;
socket.addEventListener("message", () => {
  seen += 1;
  if (output) output.textContent = String(seen);
});
