"use strict";

// The search takes a leading hyphen for "without"; here it begins the name of an option.
{
  const query = document.querySelector("[data-md-component=search-query]");
  const value = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  if (query) {
    Object.defineProperty(query, "value", {
      ...value,
      get() { return value.get.call(this).replace(/(^|\s)-+/g, "$1"); },
    });
  }
}
