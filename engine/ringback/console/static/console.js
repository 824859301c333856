// The entry of all scripts of the console.
import "./in.js";
