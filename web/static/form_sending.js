// What a form does when it is sent: what was wrong is said inside it, and what was accepted empties it.

/** `save` gets the FormData; what it throws is shown in the form's `.field-error`. Nothing happens where there is no such form. */
export function submitted(form, save) {
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const submit = form.querySelector('button[type="submit"]');
    const problem = form.querySelector(".field-error");
    submit.disabled = true;
    problem.textContent = "";
    try {
      await save(new FormData(form));
      form.reset();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      submit.disabled = false;
    }
  });
}
