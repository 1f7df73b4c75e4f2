// Finds options, such as --policy: lunr, the search of the theme, takes a hyphen before a word for an operator.
const send = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...rest) {
  const query = typeof message?.data === "string";
  return send.call(this, query ? { ...message, data: message.data.replace(/(^|\s)--+/g, "$1") } : message, ...rest);
};
