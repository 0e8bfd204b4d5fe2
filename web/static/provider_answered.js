// The page after the identity provider. Led on by a page of this box, the browser sends its session cookie; this address is forgotten.
location.replace(document.getElementById("go-on").href);
